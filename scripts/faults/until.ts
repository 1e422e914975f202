import { setTimeout as delay } from 'node:timers/promises';

const intervalMs = 50;

/**
 * Waits until a condition holds.
 *
 * @throws Error that `what` is still there, when it takes too long
 */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  { timeoutMs, what, signal }: { readonly timeoutMs: number; readonly what: string; readonly signal: AbortSignal },
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`${what} is still there after ${timeoutMs / 1000} s`);
    await delay(intervalMs, undefined, { signal });
  }
}
