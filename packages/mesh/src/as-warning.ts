/**
 * Shows what a caller's own callback threw as a warning of the process: an `ObserverErrorSink` for calls that have no logger.
 */
export function asWarning(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
