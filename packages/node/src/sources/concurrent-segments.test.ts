import { setImmediate as turn } from 'node:timers/promises';
import { buffer } from 'node:stream/consumers';

import { expect, test } from 'vitest';

import { concurrentSegments } from './concurrent-segments.ts';

const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

test('hands bytes out in order, whichever segment comes first', async () => {
  let running = 0;
  let most = 0;
  const read = async function* ({ offset, end }: { offset: number; end: number }) {
    running += 1;
    most = Math.max(most, running);
    // The later, the sooner.
    for (let turns = 0; turns < (1000 - offset) / 50; turns++) await turn();
    try {
      yield content.subarray(offset, offset + 1);
      yield content.subarray(offset + 1, end);
    } finally {
      running -= 1;
    }
  };
  const range = { offset: 7, end: 993, segmentBytes: 100, connections: 3 };
  const { signal } = new AbortController();
  expect(await buffer(concurrentSegments({ ...range, signal, read }))).toEqual(content.subarray(7, 993));
  expect(most).toBe(3);
});

test('throws what a segment throws, at its turn, and ends the others', async () => {
  const aborted: number[] = [];
  const read = async function* ({ offset, end, signal }: { offset: number; end: number; signal: AbortSignal }) {
    if (offset === 100) throw new Error('broken');
    if (offset === 200) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      aborted.push(offset);
      throw signal.reason;
    }
    yield content.subarray(offset, end);
  };
  const got: Uint8Array[] = [];
  const reading = async () => {
    const range = { offset: 0, end: 300, segmentBytes: 100, connections: 3, signal: new AbortController().signal };
    for await (const chunk of concurrentSegments({ ...range, read })) got.push(chunk);
  };
  await expect(reading()).rejects.toThrow('broken');
  expect(Buffer.concat(got)).toEqual(content.subarray(0, 100));
  expect(aborted).toEqual([200]);
});

test('says that a segment ended early', async () => {
  const read = async function* ({ offset }: { offset: number }) {
    yield content.subarray(offset, offset + 50);
  };
  const range = { offset: 0, end: 300, segmentBytes: 100, connections: 2, signal: new AbortController().signal };
  await expect(buffer(concurrentSegments({ ...range, read }))).rejects.toMatchObject({ code: 'model-unreachable' });
});
