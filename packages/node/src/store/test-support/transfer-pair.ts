import { fromWireError, SkeinError, toWireError, type Frame } from '@skein/protocol';

import type { TransferStream } from '../transfer-stream.ts';

/** Two ends of a stream in memory. Disposing an end before it read the other's end cuts the stream, as the mesh's does. */
export function transferPair(): [TransferStream, TransferStream & { fail(error: unknown): void }] {
  const forth = new Pipe();
  const back = new Pipe();
  return [new End(back, forth), new End(forth, back)];
}

type Item = Frame | undefined;

/** One direction. One frame is taken at a time, so a writer is as slow as its reader. */
class Pipe {
  #items: { item: Item; taken: () => void }[] = [];
  #wake = Promise.withResolvers<void>();
  #cut: SkeinError | undefined;
  ended = false;

  async put(item: Item, timeoutMs: number | undefined): Promise<void> {
    this.#assertWhole();
    const taken = Promise.withResolvers<void>();
    this.#items.push({ item, taken: taken.resolve });
    this.#wake.resolve();
    await inTime(taken, timeoutMs);
    this.#assertWhole();
  }

  async take(timeoutMs: number | undefined): Promise<Item> {
    while (this.#items.length === 0 && !this.ended) {
      this.#assertWhole();
      this.#wake = Promise.withResolvers();
      await inTime(this.#wake, timeoutMs);
    }
    const next = this.#items.shift();
    next?.taken();
    if (next !== undefined && next.item === undefined) this.ended = true;
    return next?.item;
  }

  #assertWhole(): void {
    if (this.#cut !== undefined) throw this.#cut;
  }

  cut(error: SkeinError): void {
    this.#cut ??= error;
    for (const { taken } of this.#items.splice(0)) taken();
    this.#wake.resolve();
  }
}

class End implements TransferStream {
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;

  constructor(incoming: Pipe, outgoing: Pipe) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  async read({ timeoutMs }: { timeoutMs?: number | undefined } = {}): Promise<Item> {
    return await this.#incoming.take(timeoutMs);
  }

  async write(
    header: object,
    payload: Uint8Array = new Uint8Array(0),
    { timeoutMs }: { timeoutMs?: number | undefined } = {},
  ): Promise<void> {
    await this.#outgoing.put({ header, payload }, timeoutMs);
  }

  async end(): Promise<void> {
    // Nobody has to wait for, or even read, the end.
    void this.#outgoing.put(undefined, undefined).catch(() => {});
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#incoming.ended) {
      this.#incoming.cut(lost);
      this.#outgoing.cut(lost);
    }
    await Promise.resolve();
  }

  fail(error: unknown): void {
    this.#outgoing.cut(fromWireError(toWireError(error)));
  }
}

const lost = new SkeinError('peer-lost', 'the stream was cut');

async function inTime(wait: PromiseWithResolvers<void>, timeoutMs = 60_000): Promise<void> {
  const late = () => wait.reject(new SkeinError('deadline-exceeded', 'the other end was too slow'));
  const timer = setTimeout(late, timeoutMs);
  await wait.promise.finally(() => clearTimeout(timer));
}
