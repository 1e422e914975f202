export interface BackoffOptions {
  /** Wait after the first failure, in milliseconds. Default 250. */
  readonly initialMs?: number;
  /** Longest wait, in milliseconds. Default 15,000. */
  readonly maxMs?: number;
}

/**
 * Returns the milliseconds to wait after `failures` consecutive failures: doubling, capped, and spread over the upper
 * half so that members which lost each other together don't come back together. `random` is in [0, 1).
 */
export function backoffMs(failures: number, random: number, options: BackoffOptions = {}): number {
  const { initialMs = 250, maxMs = 15_000 } = options;
  const full = Math.min(maxMs, initialMs * 2 ** Math.max(0, failures - 1));
  return full * (0.5 + random / 2);
}
