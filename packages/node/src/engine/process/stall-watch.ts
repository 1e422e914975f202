/**
 * A watch for an engine that has work and makes no progress. Only progress restarts its clock, never a new request: on
 * a busy service requests arrive all the time. The clock also starts when work comes to an engine that has none.
 *
 * An engine has work from the first request until it reports that nothing is left, not even a step on its way through
 * the ring: clients that leave a hung engine one by one leave its work behind.
 */
export class StallWatch {
  readonly #timeoutMs: number;
  readonly #onStall: () => void;
  #timer: NodeJS.Timeout | undefined;
  #requests = 0;
  #isStopped = false;

  /** @param onStall called once, `timeoutMs` after the last progress */
  constructor({ timeoutMs, onStall }: { readonly timeoutMs: number; readonly onStall: () => void }) {
    this.#timeoutMs = timeoutMs;
    this.#onStall = onStall;
  }

  /** Notes a request that is sent to the engine. */
  onRequest(): void {
    this.#requests += 1;
    if (this.#timer === undefined) this.#restart();
  }

  /** Notes a token, an end, or a step that came back without either. */
  onProgress(): void {
    if (this.#timer !== undefined) this.#restart();
  }

  /**
   * Notes that the engine has no work left.
   *
   * @param requests how many it had seen when it reported so: those still on their way to it are work
   */
  onIdle(requests: number): void {
    if (requests === this.#requests) this.#clear();
  }

  stop(): void {
    this.#isStopped = true;
    this.#clear();
  }

  #restart(): void {
    this.#clear();
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.stop();
      this.#onStall();
    }, this.#timeoutMs);
    this.#timer.unref();
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
