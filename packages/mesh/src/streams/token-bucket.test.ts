import { encodeFrame } from '@skein/protocol';
import { expect, onTestFinished, test, vi } from 'vitest';

import { FrameStream } from './frame-stream.ts';
import { InboundBudget } from './inbound-budget.ts';
import { memoryStreamPair } from '../transport/memory/memory-stream.ts';
import { TokenBucket } from './token-bucket.ts';

test('a burst is free, what is beyond it is waited for', () => {
  const pace = new TokenBucket({ unitsPerSecond: 1000, burst: 5000 }, 0);
  expect(pace.take(5000, 0)).toBe(0);
  expect(pace.take(2000, 0)).toBe(2000);
  expect(pace.take(0, 2000)).toBe(0);
  expect(pace.take(500, 2000)).toBe(500);
});

test('rest earns a burst and no more, and a clock that stands still or goes back earns nothing', () => {
  const pace = new TokenBucket({ unitsPerSecond: 1000, burst: 5000 }, 0);
  expect(pace.take(5000, 0)).toBe(0);
  expect(pace.take(5000, 1_000_000)).toBe(0);
  expect(pace.take(1000, 1_000_000)).toBe(1000);
  expect(pace.take(0, 999_000)).toBe(1000);
});

test('a stream that brings more than its pace rests before it goes on', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const pace = new TokenBucket({ unitsPerSecond: 1000, burst: 1000 }, performance.now());
  const limits = { held: new InboundBudget({ maxBytes: 1000 }), pace };
  const [near, far] = memoryStreamPair();
  const stream = new FrameStream(near, { maxFrameBytes: 100_000, limits });
  const read = vi.fn<() => void>();
  await far.write(encodeFrame({ type: 'much' }, new Uint8Array(5000)));
  void stream.read().then(read);
  await vi.advanceTimersByTimeAsync(3900);
  expect(read).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(read).toHaveBeenCalledOnce();
});
