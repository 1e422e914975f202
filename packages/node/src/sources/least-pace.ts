import { SkeinError } from '@skein/protocol';

/** Time over which a server's pace is judged, in milliseconds. */
const windowMs = 60_000;
/**
 * Least bytes in that time: about a kilobyte a second. A model of 90 MB would take a day, and a telephone modem is
 * faster.
 */
const leastBytes = 64 * 1024;

/**
 * The pace at which a server sends one range, over all connections that it takes. A stall ends a connection; this ends a
 * download of which a byte comes now and then, which would stay open for ever.
 */
export class LeastPace {
  readonly #host: string;
  readonly #now: () => number;
  #startedAtMs: number;
  #bytes = 0;

  /**
   * @param host name of the server, for the message
   * @param now returns the milliseconds of a monotonic clock
   */
  constructor(host: string, now: () => number) {
    this.#host = host;
    this.#now = now;
    this.#startedAtMs = now();
  }

  /**
   * Counts bytes that have arrived.
   *
   * @throws SkeinError `deadline-exceeded` when less than 64 KiB have come in a minute
   */
  arrived(bytes: number): void {
    this.#bytes += bytes;
    const nowMs = this.#now();
    if (nowMs - this.#startedAtMs < windowMs) return;
    if (this.#bytes < leastBytes) {
      const seconds = Math.round((nowMs - this.#startedAtMs) / 1000);
      throw new SkeinError(
        'deadline-exceeded',
        `${this.#host} sent ${this.#bytes} bytes in ${seconds} s, too few to ever end; check the connection and try again`,
      );
    }
    this.#startedAtMs = nowMs;
    this.#bytes = 0;
  }

  /** Returns a stopwatch for time in which nothing was asked of the server; call it at the end of that time. */
  pause(): () => void {
    const sinceMs = this.#now();
    return () => (this.#startedAtMs += this.#now() - sinceMs);
  }
}
