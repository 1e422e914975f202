import { SkeinError } from '@skein/protocol';

const windowMs = 60_000;
const attemptsPerHost = 10;
const attemptsOfAll = 120;

/** A bound on attempts to join: of one remote host, and of all together, in each minute. Times come in, in milliseconds. */
export class JoinLimits {
  #windowStartMs = -Infinity;
  readonly #attempts = new Map<string, number>();
  #total = 0;

  /**
   * Counts an attempt.
   *
   * @throws SkeinError `overloaded` for one too many
   */
  count(host: string, nowMs: number): void {
    if (nowMs - this.#windowStartMs >= windowMs) {
      this.#windowStartMs = nowMs;
      this.#attempts.clear();
      this.#total = 0;
    }
    const ofHost = (this.#attempts.get(host) ?? 0) + 1;
    if (ofHost > attemptsPerHost || this.#total >= attemptsOfAll) {
      throw new SkeinError('overloaded', 'too many attempts to join; try again in a minute');
    }
    this.#attempts.set(host, ofHost);
    this.#total += 1;
  }
}
