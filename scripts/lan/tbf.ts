/**
 * Returns the arguments of `tc` that bound a link: bursts of 4 ms, and a queue of 50 ms behind which packets are
 * dropped.
 */
export function tbf(mbitPerSecond: number): string[] {
  const burstBytes = Math.max(16 * 1024, Math.round(mbitPerSecond * 500));
  return ['tbf', 'rate', `${mbitPerSecond}mbit`, 'burst', `${burstBytes}b`, 'latency', '50ms'];
}
