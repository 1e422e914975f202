import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

import type { ByteDuplex } from '@skein/mesh';
import { encodeFrame, limits, SkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { isOnPurpose, RingPipe } from './splice.ts';

/** A ring stream whose other end the test plays. */
function ringStream() {
  const incoming = new PassThrough();
  const written: Uint8Array[] = [];
  const lost = new SkeinError('peer-lost', 'gone');
  const ended = Promise.withResolvers<void>();
  const stream: ByteDuplex = {
    readable: incoming as AsyncIterable<Uint8Array>,
    write: async (bytes) => void written.push(bytes),
    end: async () => ended.resolve(),
    abort: () => void incoming.destroy(lost),
  };
  return { stream, incoming, written, lost, ended: ended.promise };
}

const never = new AbortController().signal;

/** A frame that holds a text. */
const frame = (text: string) => encodeFrame({ type: 'step' }, Buffer.from(text));
const [abc, def] = [frame('abc'), frame('def')];
const all = (...frames: readonly Uint8Array[]) => Buffer.concat(frames);

describe('a ring stream joined to an engine', () => {
  it('brings the frames of the stage before to the engine until the stream ends, whole ones alone', async () => {
    const pipe = new PassThrough();
    const ring = new RingPipe(pipe);
    const { stream, incoming } = ringStream();
    for (const byte of all(abc, def).subarray(0, -1)) incoming.write(Uint8Array.of(byte));
    incoming.end();
    await ring.feed(stream, never);
    expect(pipe.read()).toEqual(all(abc));
    const other = ringStream();
    other.incoming.end(all(def, abc));
    await ring.feed(other.stream, never);
    expect(pipe.read()).toEqual(all(def, abc));
  });

  it('takes the frames of the engine to the next stage until the engine closes its pipe', async () => {
    const { stream, written } = ringStream();
    const pipe = new PassThrough();
    pipe.end(all(abc, def));
    await new RingPipe(pipe).send(stream, never);
    expect(all(...written)).toEqual(all(abc, def));
  });

  it('goes on with a whole frame on the stream after one that was lost within a frame', async () => {
    const pipe = new PassThrough();
    const ring = new RingPipe(pipe);
    const first = ringStream();
    const sending = ring.send(first.stream, never);
    pipe.write(abc.subarray(0, 7));
    await setImmediate();
    first.incoming.destroy(first.lost);
    await expect(sending).rejects.toBe(first.lost);
    expect(all(...first.written)).toEqual(all(abc.subarray(0, 7)));
    const second = ringStream();
    pipe.write(abc.subarray(7, 9));
    pipe.end(all(abc.subarray(9), def));
    await ring.send(second.stream, never);
    expect(all(...second.written)).toEqual(all(def));
  });

  it('is over when the next stage goes, even while the engine has nothing to send', async () => {
    const { stream, incoming, lost } = ringStream();
    const feeding = new RingPipe(new PassThrough()).send(stream, never);
    incoming.destroy(lost);
    await expect(feeding).rejects.toBe(lost);
  });

  it('refuses a frame that is longer than any may be, before it comes', async () => {
    const { stream, incoming } = ringStream();
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, limits.maxFrameBytes + 1, true);
    incoming.write(length);
    await expect(new RingPipe(new PassThrough()).feed(stream, never)).rejects.toMatchObject({
      code: 'frame-too-large',
    });
  });

  it.each(['feed', 'send'] as const)('is given up when the stage ends (%s)', async (direction) => {
    const { stream, lost } = ringStream();
    const ended = new AbortController();
    const joined = new RingPipe(new PassThrough())[direction](stream, ended.signal);
    await setImmediate();
    ended.abort();
    await expect(joined).rejects.toBe(lost);
  });

  it.each(['feed', 'send'] as const)(
    'is ended when the stage is taken down, until the neighbour goes (%s)',
    async (direction) => {
      const { stream, incoming, lost, ended } = ringStream();
      const takenDown = new AbortController();
      const pipe = new PassThrough();
      const joined = new RingPipe(pipe)[direction](stream, takenDown.signal);
      await setImmediate();
      takenDown.abort(new SkeinError('stage-lost', 'ended', { details: { onPurpose: true } }));
      await ended;
      expect(incoming.destroyed).toBe(false);
      incoming.destroy(lost);
      await expect(joined).rejects.toBe(lost);
    },
  );

  it('tells an end that the next stage made on purpose from its loss', async () => {
    const { stream, incoming } = ringStream();
    const feeding = new RingPipe(new PassThrough()).send(stream, never);
    incoming.end();
    await expect(feeding).rejects.toSatisfy(isOnPurpose);
    expect(isOnPurpose(new SkeinError('peer-lost', 'gone'))).toBe(false);
  });
});
