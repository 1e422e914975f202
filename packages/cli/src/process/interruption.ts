import { constants } from 'node:os';

import { SkeinError } from '@skein/protocol';

type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
const stopSignals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * A terminal's Ctrl-C reaches every process of the foreground group, and npm and our own launcher pass it on as well: what
 * comes together is one wish. A person needs longer to press it twice.
 */
const sameWishMs = 400;

export interface InterruptionComponents {
  readonly process: Pick<NodeJS.Process, 'on' | 'off'>;
  /** Ends the process now, with this exit code. */
  readonly exit: (code: number) => void;
  /** Milliseconds of a clock that does not jump. */
  readonly nowMs: () => number;
  /** Told of the first signal, when everything knows that it shall stop: nothing is drawn after what this prints. */
  readonly onInterrupt?: () => void;
}

/** Turns the signals that end a process into an orderly stop, and the second one into an end at once. */
export class Interruption implements Disposable {
  readonly #components: InterruptionComponents;
  readonly #stop = new AbortController();
  readonly #listener = (name: StopSignal): void => this.#receive(name);
  #first: { readonly code: number; readonly atMs: number } | undefined;

  constructor(components: InterruptionComponents) {
    this.#components = components;
    for (const name of stopSignals) components.process.on(name, this.#listener);
  }

  /** Aborted, with `aborted`, when everything shall stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** What the process exits with because of it; undefined when there was no signal. */
  get exitCode(): number | undefined {
    return this.#first?.code;
  }

  /** As if a signal had come that exits with this code. */
  stop(code: number): void {
    if (this.#first !== undefined) return;
    this.#first = { code, atMs: this.#components.nowMs() };
    this.#stop.abort(new SkeinError('aborted', 'interrupted'));
  }

  [Symbol.dispose](): void {
    for (const name of stopSignals) this.#components.process.off(name, this.#listener);
  }

  #receive(name: StopSignal): void {
    const first = this.#first;
    // 128 + number is how shells report it.
    if (first === undefined) {
      this.stop(128 + constants.signals[name]);
      this.#components.onInterrupt?.();
    } else if (this.#components.nowMs() - first.atMs >= sameWishMs) {
      this.#components.exit(first.code);
    }
  }
}
