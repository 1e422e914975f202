import { describe, expect, it, vi } from 'vitest';

import { workPerAdvance } from './json-parser.ts';
import { RequestBodies, type BodyChunks, type JsonBody } from './request-bodies.ts';

interface Sent {
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

function requestOf({ headers = {}, signal }: Sent = {}): Request {
  return new Request('http://localhost/', { method: 'POST', headers, ...(signal !== undefined && { signal }) });
}

async function* piecesOf(...pieces: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

/** Chunks that come when they are let. */
function heldBack(text: string): { chunks: BodyChunks; isRead: () => boolean; let: () => void } {
  const gate = Promise.withResolvers<void>();
  let isRead = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    isRead = true;
    await gate.promise;
    yield Buffer.from(text);
  }
  return { chunks: chunks(), isRead: () => isRead, let: gate.resolve };
}

const longText = JSON.stringify('x'.repeat(100_000));
const declared = { 'content-length': String(longText.length) };

async function read(bodies: RequestBodies, chunks: BodyChunks, sent?: Sent): Promise<JsonBody> {
  return await bodies.readJson(requestOf(sent), chunks);
}

describe('a body', () => {
  it('may come in pieces of a byte, cut inside characters', async () => {
    const text = JSON.stringify({ text: 'é中😀' });
    using body = await read(
      new RequestBodies(),
      piecesOf(...Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte))),
    );
    expect(body.value).toEqual({ text: 'é中😀' });
  });

  it('that is long leaves turns of the event loop to others', async () => {
    const length = 12 * 1024 * 1024;
    let turns = 0;
    const count = (): void => {
      turns += 1;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    using body = await read(new RequestBodies(), piecesOf(JSON.stringify('x'.repeat(length))));
    clearImmediate(timer);
    expect((body.value as string).length).toBe(length);
    expect(turns).toBeGreaterThan(length / workPerAdvance.bytes - 2);
  });

  it('takes its turns with others, one step a turn', async () => {
    const bodies = new RequestBodies();
    const text = JSON.stringify('x'.repeat(1024 * 1024));
    let turns = 0;
    const count = (): void => {
      turns += 1;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    await Promise.all(Array.from({ length: 4 }, async () => await read(bodies, piecesOf(text))));
    clearImmediate(timer);
    // The first step of each is done at once.
    expect(turns).toBeGreaterThan((4 * 1024 * 1024) / workPerAdvance.bytes - 5);
  });

  it.each([
    ['that is compressed', { headers: { 'content-encoding': 'gzip' } }, ['{}'], /content-encoding gzip.*uncompressed/],
    ['that is not UTF-8', {}, [Uint8Array.of(0x22, 0xff, 0x22)], /send JSON in UTF-8/],
    ['whose length is too great', { headers: { 'content-length': '99999999' } }, ['{}'], /larger than 16\.0 MiB/],
    ['that is cut off', {}, ['{"a":'], /not valid JSON/],
  ])('%s is refused with the reason', async (_, sent, pieces, message) => {
    await expect(read(new RequestBodies(), piecesOf(...pieces), sent)).rejects.toThrow(message);
  });

  it('ends as one whose client left when its connection breaks', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{');
      throw new Error('ECONNRESET');
    }
    await expect(read(new RequestBodies(), broken())).rejects.toMatchObject({ code: 'aborted' });
  });

  it('that does not come is given up', async () => {
    const bodies = new RequestBodies({ arrivalMs: 1 });
    await expect(read(bodies, heldBack('{}').chunks)).rejects.toMatchObject({ code: 'deadline-exceeded' });
  });
});

describe('long bodies that do not fit into memory together', () => {
  it('are not even read before others are disposed', async () => {
    const bodies = new RequestBodies({ maxHeldBytes: 150_000 });
    const first = await read(bodies, piecesOf(longText), { headers: declared });
    const second = heldBack(longText);
    const reading = read(bodies, second.chunks, { headers: declared });
    using short = await read(bodies, piecesOf('{}'));
    expect([short.value, second.isRead()]).toEqual([{}, false]);
    first[Symbol.dispose]();
    second.let();
    using body = await reading;
    expect(body.value).toBe(JSON.parse(longText));
  });

  it('are refused when there is no room in time, and leave none taken', async () => {
    const bodies = new RequestBodies({ maxHeldBytes: 150_000, waitMs: 1 });
    const first = await read(bodies, piecesOf(longText), { headers: declared });
    const refused = read(bodies, piecesOf(longText), { headers: declared });
    await expect(refused).rejects.toMatchObject({
      code: 'overloaded',
      message: expect.stringContaining('64.0 KiB') as string,
    });
    first[Symbol.dispose]();
    using _body = await read(bodies, piecesOf(longText), { headers: declared });
  });

  it('give back their room when they are refused, or their clients leave', async () => {
    const bodies = new RequestBodies({ maxHeldBytes: 150_000 });
    await expect(read(bodies, piecesOf(longText.slice(0, -1)), { headers: declared })).rejects.toThrow(
      'not valid JSON',
    );
    const client = new AbortController();
    const left = heldBack(longText);
    const reading = read(bodies, left.chunks, { headers: declared, signal: client.signal });
    await vi.waitFor(() => expect(left.isRead()).toBe(true));
    client.abort();
    await expect(reading).rejects.toMatchObject({ code: 'aborted' });
    using _body = await read(bodies, piecesOf(longText), { headers: declared });
  });

  it('count in full when nothing says how long they are', async () => {
    const bodies = new RequestBodies({ maxHeldBytes: 150_000, waitMs: 1 });
    using _body = await read(bodies, piecesOf(longText));
    await expect(read(bodies, piecesOf(longText))).rejects.toMatchObject({ code: 'overloaded' });
  });
});
