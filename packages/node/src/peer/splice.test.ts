import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

import type { ByteDuplex } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { pipeToStream, streamToPipe } from './splice.ts';

/** A ring stream whose other end the test plays. */
function ringStream() {
  const incoming = new PassThrough();
  const written: Uint8Array[] = [];
  const lost = new SkeinError('peer-lost', 'gone');
  const stream: ByteDuplex = {
    readable: incoming as AsyncIterable<Uint8Array>,
    write: async (bytes) => void written.push(bytes),
    end: async () => undefined,
    abort: () => void incoming.destroy(lost),
  };
  return { stream, incoming, written, lost };
}

const never = new AbortController().signal;

describe('a ring stream joined to an engine', () => {
  it('brings the bytes of the stage before to the engine until the stream ends', async () => {
    const { stream, incoming } = ringStream();
    const pipe = new PassThrough();
    incoming.end('abc');
    await streamToPipe(stream, pipe, never);
    expect(pipe.read()?.toString()).toBe('abc');
  });

  it('takes the bytes of the engine to the next stage until the engine closes its pipe', async () => {
    const { stream, written } = ringStream();
    const pipe = new PassThrough();
    pipe.end('abc');
    await pipeToStream(pipe, stream, never);
    expect(Buffer.concat(written).toString()).toBe('abc');
  });

  it('is over when the next stage goes, even while the engine has nothing to send', async () => {
    const { stream, incoming, lost } = ringStream();
    const feeding = pipeToStream(new PassThrough(), stream, never);
    incoming.destroy(lost);
    await expect(feeding).rejects.toBe(lost);
  });

  it.each([
    ['to the engine', streamToPipe],
    [
      'to the next stage',
      (stream: ByteDuplex, pipe: PassThrough, signal: AbortSignal) => pipeToStream(pipe, stream, signal),
    ],
  ])('is given up %s when the stage ends', async (_name, join) => {
    const { stream, lost } = ringStream();
    const ended = new AbortController();
    const joined = join(stream, new PassThrough(), ended.signal);
    await setImmediate();
    ended.abort();
    await expect(joined).rejects.toBe(lost);
  });
});
