import { constants } from 'node:os';

import { SkeinError } from '@skein/protocol';

type StopSignal = 'SIGINT' | 'SIGBREAK' | 'SIGTERM' | 'SIGHUP';
/** Signals that ask a process to end. SIGBREAK is the Ctrl-Break of Windows, and never comes elsewhere. */
const stopSignals: readonly StopSignal[] = ['SIGINT', 'SIGBREAK', 'SIGTERM', 'SIGHUP'];

/**
 * Time within which signals count as one, in milliseconds. A terminal's Ctrl-C reaches every process of the foreground
 * group, and npm and our own launcher pass it on as well. A person needs longer to press it twice.
 */
const sameWishMs = 400;

export interface InterruptionComponents {
  readonly process: Pick<NodeJS.Process, 'on' | 'off'>;
  /** Ends the process now, with this exit code. */
  readonly exit: (code: number) => void;
  /** Returns the milliseconds of a clock that does not jump. */
  readonly nowMs: () => number;
  /** Called at the first signal, after {@link Interruption.signal} is aborted: nothing is drawn after its output. */
  readonly onInterrupt?: () => void;
}

/** An orderly stop at the first signal that ends a process, and an immediate end at the second. */
export class Interruption implements Disposable {
  readonly #components: InterruptionComponents;
  readonly #stop = new AbortController();
  readonly #listener = (name: StopSignal): void => this.#receive(name);
  #first: { readonly code: number; readonly atMs: number } | undefined;

  constructor(components: InterruptionComponents) {
    this.#components = components;
    for (const name of stopSignals) components.process.on(name, this.#listener);
  }

  /** Aborts, with `aborted`, when everything shall stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Exit code of the process because of a signal; undefined when there was none. */
  get exitCode(): number | undefined {
    return this.#first?.code;
  }

  /** Stops as if a signal with this exit code had come. */
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
    if (first === undefined) {
      this.stop(exitCodeOf(name));
      this.#components.onInterrupt?.();
    } else if (this.#components.nowMs() - first.atMs >= sameWishMs) {
      this.#components.exit(first.code);
    }
  }
}

/** Returns the exit code that shells report for a process that a signal ended. Ctrl-Break counts as Ctrl-C. */
function exitCodeOf(name: StopSignal): number {
  return 128 + constants.signals[name === 'SIGBREAK' ? 'SIGINT' : name];
}
