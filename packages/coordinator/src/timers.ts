/** Calls back once after a time, in milliseconds, unless what it returns is disposed before. Injected, so that tests set the clock. */
export type Schedule = (delayMs: number, callback: () => void) => Disposable;

/** The machine's own timers. They keep no process alive. */
export const schedule: Schedule = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
};
