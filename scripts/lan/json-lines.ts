import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { untilAborted } from '@skein/mesh';

const keptErrorLines = 12;

/** A child process that takes commands and prints messages, each a line of JSON. */
export class JsonLines<Message> {
  /** All messages so far. */
  readonly messages: Message[] = [];
  readonly child: ChildProcessWithoutNullStreams;
  readonly #errorLines: string[] = [];
  /** Resolves at anything that a waiting reader may be interested in. */
  #changed = Promise.withResolvers<void>();
  #hasEnded = false;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    createInterface(child.stdout).on('line', (line) => {
      this.messages.push(JSON.parse(line) as Message);
      this.#wake();
    });
    createInterface(child.stderr).on('line', (line) => {
      this.#errorLines.push(line);
      if (this.#errorLines.length > keptErrorLines) this.#errorLines.shift();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    once(child, 'close').then(end, end);
  }

  send(command: object): void {
    this.child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /**
   * Returns the first message, from number `from` on, for which `isIt` holds; waits for it. Throws an error with the
   * last lines on stderr when the process ends before, and the signal's reason.
   */
  async until(
    isIt: (message: Message) => boolean,
    options: { readonly signal: AbortSignal; readonly from?: number },
  ): Promise<Message> {
    for (let next = options.from ?? 0; ; next += 1) {
      while (next >= this.messages.length) {
        if (this.#hasEnded) throw new Error(['the process ended early', ...this.#errorLines].join('\n'));
        await untilAborted(this.#changed.promise, options.signal);
      }
      const message = this.messages[next];
      if (message !== undefined && isIt(message)) return message;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
