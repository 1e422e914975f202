import { describe, expect, it } from 'vitest';

import { ChunkQueue } from './chunk-queue.ts';

const bytes = (length: number, first = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (first + index) % 251);

describe('the chunk queue', () => {
  it.each([1, 7, 1000, 4095, 4096, 10_000])('gives back in order what came in chunks of %i bytes', (size) => {
    const stream = bytes(300_000);
    const queue = new ChunkQueue();
    let taken = 0;
    const check = (count: number) => {
      expect(Buffer.compare(queue.take(count), stream.subarray(taken, taken + count))).toBe(0);
      taken += count;
    };
    for (let start = 0; start < stream.length; start += size) {
      queue.push(stream.subarray(start, start + size));
      // Less than comes in, so that chunks are cut in every way.
      if (start % 3 === 0) check(Math.min(queue.byteLength, Math.ceil(size / 2)));
    }
    check(queue.byteLength);
    expect(taken).toBe(stream.length);
    expect(queue.shift()).toBeUndefined();
  });

  it('hands over large chunks as they are', () => {
    const queue = new ChunkQueue();
    const [large, larger] = [bytes(4096), bytes(70_000)];
    for (const chunk of [large, bytes(3), larger]) queue.push(chunk);
    expect(queue.shift()).toBe(large);
    expect(queue.shift()).toEqual(bytes(3));
    expect(queue.take(70_000).buffer).toBe(larger.buffer);
  });

  it('merges small chunks, and does not touch what it has handed over', () => {
    const queue = new ChunkQueue();
    for (let count = 0; count < 10; count++) queue.push(Uint8Array.of(count));
    const first = queue.take(5);
    for (let count = 10; count < 5000; count++) queue.push(Uint8Array.of(count % 251));
    expect([...first]).toEqual([0, 1, 2, 3, 4]);
    expect(queue.shift()).toEqual(bytes(4995, 5));
    expect(queue.byteLength).toBe(0);
  });

  it('reads a length that lies in several chunks without taking it', () => {
    const queue = new ChunkQueue();
    queue.push(Uint8Array.of(1));
    queue.push(Uint8Array.of(2, 3));
    expect(queue.peekUint32()).toBeUndefined();
    queue.push(bytes(5000, 4));
    expect(queue.peekUint32()).toBe(0x04030201);
    expect(queue.byteLength).toBe(5003);
  });

  it('stays small, however many chunks wait and go', () => {
    const queue = new ChunkQueue();
    const chunk = bytes(4096);
    const rounds = 50_000;
    for (let round = 0; round < rounds; round++) queue.push(chunk);
    let whole = 0;
    for (let round = 0; round < rounds; round++) if (queue.shift()?.byteLength === 4096) whole += 1;
    expect(whole).toBe(rounds);
    expect(queue.byteLength).toBe(0);
  });
});
