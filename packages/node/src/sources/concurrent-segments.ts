import { invariant } from '@skein/protocol';

import { exactly } from './exactly.ts';

export interface SegmentsOptions {
  /** First byte of all, and the byte behind the last one. */
  readonly offset: number;
  readonly end: number;
  /** Size of a segment, in bytes. */
  readonly segmentBytes: number;
  /** Segments under way at the same time: as many are in memory at most. */
  readonly connections: number;
  readonly signal: AbortSignal;
  /** Streams one segment, from its first byte. */
  readonly read: (segment: {
    readonly offset: number;
    readonly end: number;
    readonly signal: AbortSignal;
  }) => AsyncIterable<Uint8Array>;
}

/**
 * Streams a range in order while several segments of it are read at the same time. The first one is handed out as it
 * comes, the others wait in memory for their turn. Breaking out of the loop ends them all.
 *
 * @throws the error of a segment, at its turn
 */
export async function* concurrentSegments(options: SegmentsOptions): AsyncGenerator<Uint8Array> {
  const { offset, end, segmentBytes, connections, read } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const underWay: Segment[] = [];
  let next = offset;
  try {
    while (next < end || underWay.length > 0) {
      while (next < end && underWay.length < connections) {
        const range = { offset: next, end: Math.min(end, next + segmentBytes) };
        underWay.push(new Segment(exactly(read({ ...range, signal }), range.end - range.offset)));
        next = range.end;
      }
      yield* invariant(underWay[0], 'a segment is under way').chunks();
      underWay.shift();
    }
  } finally {
    stop.abort();
    await Promise.all(underWay.map((segment) => segment.ended));
  }
}

/** A segment that is read at once, whether anybody takes its bytes or not. */
class Segment {
  /** Resolves when nothing of it runs any more. */
  readonly ended: Promise<void>;
  readonly #arrived: Uint8Array[] = [];
  #outcome: { readonly error?: unknown } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(content: AsyncIterable<Uint8Array>) {
    this.ended = this.#pump(content);
  }

  /** Streams the bytes that have arrived and those that follow. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      for (let chunk = this.#arrived.shift(); chunk !== undefined; chunk = this.#arrived.shift()) yield chunk;
      if (this.#outcome === undefined) {
        await this.#changed.promise;
        this.#changed = Promise.withResolvers();
      } else if ('error' in this.#outcome) {
        throw this.#outcome.error;
      } else {
        return;
      }
    }
  }

  async #pump(content: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of content) {
        this.#arrived.push(chunk);
        this.#changed.resolve();
      }
      this.#outcome = {};
    } catch (error) {
      this.#outcome = { error };
    }
    this.#changed.resolve();
  }
}
