/**
 * Shows an error of a caller's own callback as a warning of the process: an `ObserverErrorSink` for calls that have no
 * logger.
 */
export function asWarning(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
