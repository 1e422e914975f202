import { encodeFrame, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { FrameStream } from './frame-stream.ts';
import { InboundBudget } from './inbound-budget.ts';
import { memoryStreamPair } from '../transport/memory/memory-stream.ts';

const large = encodeFrame({ type: 'large' }, new Uint8Array(200_000));
const half = large.subarray(0, 100_000);
const rest = large.subarray(100_000);

function startStream(held: InboundBudget) {
  const [near, far] = memoryStreamPair();
  return { far, stream: new FrameStream(near, { maxFrameBytes: 1_000_000, limits: { held, pace: undefined } }) };
}

/** Whether a promise is settled, once everything that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await new Promise(setImmediate);
  return settled;
}

test('a large frame waits while other streams of the same remote hold all the room', async () => {
  const held = new InboundBudget({ maxBytes: 300_000 });
  const [one, other] = [startStream(held), startStream(held)];
  await Promise.all([one.far.write(half), other.far.write(half)]);
  const first = one.stream.read();
  const second = other.stream.read();
  await one.far.write(rest);
  await other.far.write(rest);
  expect((await first)?.header).toEqual({ type: 'large' });
  // A frame that was read is still being worked on.
  expect(await isSettled(second)).toBe(false);
  const next = one.stream.read();
  expect((await second)?.header).toEqual({ type: 'large' });
  one.stream.abort();
  await expect(next).rejects.toMatchObject({ code: 'aborted' });
});

test('small frames never wait, and one alone is never too large', async () => {
  const held = new InboundBudget({ maxBytes: 1000 });
  const [one, other] = [startStream(held), startStream(held)];
  await one.far.write(half);
  const first = one.stream.read();
  await other.far.write(encodeFrame({ type: 'small' }, new Uint8Array(50_000)));
  expect((await other.stream.read())?.header).toEqual({ type: 'small' });
  await one.far.write(rest);
  expect((await first)?.header).toEqual({ type: 'large' });
});

test('a stream that is lost or given up leaves its room to others', async () => {
  const held = new InboundBudget({ maxBytes: 250_000 });
  for (const end of ['remote', 'local', 'deadline'] as const) {
    const [one, other] = [startStream(held), startStream(held)];
    await one.far.write(half);
    const first = one.stream.read({ timeoutMs: end === 'deadline' ? 20 : undefined });
    await other.far.write(large);
    const second = other.stream.read();
    if (end === 'remote') one.far.abort();
    if (end === 'local') one.stream.abort();
    await expect(first).rejects.toThrow(SkeinError);
    // One that waited too long may be read on, so it keeps its room until it is over.
    if (end === 'deadline') one.stream.abort();
    expect((await second)?.header, end).toEqual({ type: 'large' });
    other.stream.abort();
  }
});

test('one that no longer waits does not hold up those behind it', async () => {
  const held = new InboundBudget({ maxBytes: 100 });
  const first = await held.reserve(60);
  const giveUp = new AbortController();
  const second = held.reserve(90, giveUp.signal);
  const third = held.reserve(40);
  expect(await isSettled(third)).toBe(false);
  giveUp.abort(new SkeinError('aborted', 'enough'));
  await expect(second).rejects.toMatchObject({ code: 'aborted' });
  using _room = await third;
  const fourth = held.reserve(60);
  expect(await isSettled(fourth)).toBe(false);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using _other = await fourth;
  expect(await isSettled(held.reserve(1))).toBe(false);
});
