import { isUtf8 } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';

import { InboundBudget, TokenBucket, untilAborted, Watchdog } from '@skein/mesh';
import { formatBytes, isSkeinError, limits, SkeinError } from '@skein/protocol';

import { clientLeft } from '../client-left.ts';
import { GrowingBuffer } from './growing-buffer.ts';
import { JsonParser } from './json-parser.ts';
import { Turns } from '../turns.ts';

/** Longest body, in bytes: the longest prompt, with room for JSON's escapes. */
const maxBodyBytes = limits.maxPromptBytes * 2;
/** Longest body that takes no share of the budget, in bytes. Nearly all are shorter, and so never wait for long ones. */
const freeBytes = 64 * 1024;

export interface RequestBodiesOptions {
  /** Most bytes that long bodies hold together. Default 64 MiB: four of the longest. */
  readonly maxHeldBytes?: number;
  /** Longest wait of a body for its share of that before its request is refused, in milliseconds. Default 10,000. */
  readonly waitMs?: number;
  /**
   * Longest time for a body to come, in milliseconds, beside the time that its length takes at 256 KiB a second.
   * Default 10,000.
   */
  readonly arrivalMs?: number;
  /** Turns of the event loop for parsing. Default: its own. */
  readonly turns?: Turns;
}

const slowestBytesPerMs = 256;

/**
 * Rate at which long bodies are taken, all together. It is less than members read of one another (see `RemoteLimits`),
 * so that their prompts do not use that up: everybody's short requests go the same way.
 */
const pace = { unitsPerSecond: 3 * 1024 * 1024, burst: 24 * 1024 * 1024 };

/** A request's body. Dispose it once the request does not need it any more: others may wait for its room. */
export interface JsonBody extends Disposable {
  readonly value: unknown;
}

/** The bytes of a body as they come. Leaving them early must not close the connection, which has yet to carry the answer. */
export type BodyChunks = AsyncIterable<Uint8Array>;

/**
 * A reader of the bodies of all requests. It bounds the bytes that they hold together, takes long ones at a rate and
 * parses them in steps, so that no body, and no number of them, stops the event loop, fills the memory or keeps others
 * waiting.
 */
export class RequestBodies {
  readonly #held: InboundBudget;
  /** Admission of long bodies to the rate, one at a time. */
  readonly #gate = new InboundBudget({ maxBytes: 1 });
  readonly #pace = new TokenBucket(pace, performance.now());
  readonly #turns: Turns;
  readonly #waitMs: number;
  readonly #arrivalMs: number;

  constructor({
    maxHeldBytes = 64 * 1024 * 1024,
    waitMs = 10_000,
    arrivalMs = 10_000,
    turns = new Turns(),
  }: RequestBodiesOptions = {}) {
    this.#turns = turns;
    this.#held = new InboundBudget({ maxBytes: maxHeldBytes });
    this.#waitMs = waitMs;
    this.#arrivalMs = arrivalMs;
  }

  /**
   * Reads a request's JSON.
   *
   * @throws SkeinError `invalid-request` for a body that is not JSON or has too many values; `unsupported-encoding`;
   * `request-too-large`, before more than the limit is held; `overloaded` when other bodies leave no room for this one;
   * `deadline-exceeded` when it comes too slowly; `aborted` when the client goes away
   */
  async readJson(request: Request, chunks: BodyChunks): Promise<JsonBody> {
    assertNotEncoded(request.headers);
    using stack = new DisposableStack();
    const bytes = await this.#read(request, { chunks, stack });
    if (bytes.byteLength > freeBytes) await this.#keepPace(bytes.byteLength, request.signal);
    const value = await this.#parse(bytes, request.signal);
    const held = stack.move();
    return { value, [Symbol.dispose]: () => held.dispose() };
  }

  async #read(
    { headers, signal }: Request,
    { chunks, stack }: { readonly chunks: BodyChunks; readonly stack: DisposableStack },
  ): Promise<Buffer> {
    const declaredBytes = declaredLength(headers);
    if (declaredBytes !== undefined && declaredBytes > maxBodyBytes) throw tooLarge();
    let hasRoom = false;
    const takeRoom = async (bytes: number): Promise<void> => {
      hasRoom = true;
      stack.use(await this.#room(bytes, signal));
    };
    if (declaredBytes !== undefined && declaredBytes > freeBytes) await takeRoom(declaredBytes);
    const body = new GrowingBuffer(declaredBytes);
    using watchdog = new Watchdog(signal);
    this.#expect(watchdog, declaredBytes);
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await untilAborted(iterator.next(), watchdog.signal);
        if (done === true) return body.bytes();
        const length = body.length + value.byteLength;
        if (length > maxBodyBytes) throw tooLarge();
        if (length > freeBytes && !hasRoom) {
          watchdog.rest();
          await takeRoom(maxBodyBytes);
          this.#expect(watchdog, maxBodyBytes);
        }
        body.append(value);
        // Of all long bodies one piece a turn is taken: dozens that come at once would fill the turns of everybody else.
        if (body.length > freeBytes) await this.#turns.next();
      }
    } catch (error) {
      // Nothing else breaks off a body.
      throw signal.aborted || !isSkeinError(error) ? clientLeft(error) : error;
    } finally {
      // Not awaited: after a deadline the next chunk may never come.
      iterator.return?.().catch(() => undefined);
    }
  }

  /** Reserves room for `bytes`, until it is disposed. */
  async #room(bytes: number, client: AbortSignal): Promise<Disposable> {
    return await this.#inTime(client, async (signal) => await this.#held.reserve(bytes, signal));
  }

  async #keepPace(bytes: number, client: AbortSignal): Promise<void> {
    await this.#inTime(client, async (signal) => {
      using _turn = await this.#gate.reserve(1, signal);
      await delay(this.#pace.take(bytes, performance.now()), undefined, { signal: client });
    });
  }

  /** Waits for others' bodies, with a signal that ends the wait. */
  async #inTime<Value>(client: AbortSignal, wait: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    try {
      return await wait(AbortSignal.any([client, AbortSignal.timeout(this.#waitMs)]));
    } catch {
      if (client.aborted) throw clientLeft(client.reason);
      throw new SkeinError(
        'overloaded',
        `too many requests of more than ${formatBytes(freeBytes)} at once; try again later, or send a shorter prompt`,
      );
    }
  }

  #expect(watchdog: Watchdog, bytes = 0): void {
    watchdog.expect(this.#arrivalMs + bytes / slowestBytesPerMs, 'the request body did not come');
  }

  async #parse(bytes: Buffer, signal: AbortSignal): Promise<unknown> {
    if (!isUtf8(bytes)) {
      throw new SkeinError('invalid-request', 'the request body is not valid UTF-8; send JSON in UTF-8');
    }
    const parser = new JsonParser(bytes);
    while (!parser.advance()) {
      await this.#turns.next();
      if (signal.aborted) throw clientLeft(signal.reason);
    }
    // The last step of a long text puts it together: enough for one turn.
    if (bytes.byteLength > freeBytes) await this.#turns.next();
    return parser.result;
  }
}

function assertNotEncoded(headers: Headers): void {
  const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity') return;
  throw new SkeinError(
    'unsupported-encoding',
    `the request body has the content-encoding ${encoding.slice(0, 100)}, which is not supported; send it uncompressed`,
  );
}

function declaredLength(headers: Headers): number | undefined {
  const length = headers.get('content-length');
  return length === null ? undefined : Number(length);
}

function tooLarge(): SkeinError {
  return new SkeinError(
    'request-too-large',
    `the request body is larger than ${formatBytes(maxBodyBytes)}, the longest there is; send a shorter prompt`,
  );
}
