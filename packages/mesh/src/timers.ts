/**
 * A function that calls back once after a time, in milliseconds, unless its result is disposed before. Injected, so
 * that tests set the clock.
 */
export type Schedule = (delayMs: number, callback: () => void) => Disposable;

/** Sets one of the machine's own timers. It keeps no process alive. */
export const schedule: Schedule = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
};
