import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { StallWatch } from './stall-watch.ts';

const timeoutMs = 120_000;
let stalls: number;
let watch: StallWatch;

beforeEach(() => {
  vi.useFakeTimers();
  stalls = 0;
  watch = new StallWatch({ timeoutMs, onStall: () => (stalls += 1) });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass in pieces, with something that happens after each of them. */
function pass(ms: number, action: () => void, times = 10): void {
  for (let piece = 0; piece < times; piece += 1) {
    vi.advanceTimersByTime(ms / times);
    action();
  }
}

describe('the watch for stalls', () => {
  it('finds a stall although requests keep coming', () => {
    watch.onRequest();
    pass(timeoutMs, () => watch.onRequest());
    expect(stalls).toBe(1);
  });

  it('finds a stall of an engine that answers those who leave, one after another, and is never without a step', () => {
    // The client has left, the step has not come back: the engine does not say that it is idle.
    watch.onRequest();
    pass(timeoutMs, () => undefined);
    expect(stalls).toBe(1);
  });

  it('finds none while something comes back, however long those who wait have to wait', () => {
    watch.onRequest();
    pass(10 * timeoutMs, () => watch.onProgress(), 100);
    expect(stalls).toBe(0);
    vi.advanceTimersByTime(timeoutMs);
    expect(stalls).toBe(1);
  });

  it('finds none in an engine without work, and gives the next request its whole time', () => {
    watch.onRequest();
    watch.onIdle(1);
    vi.advanceTimersByTime(10 * timeoutMs);
    watch.onRequest();
    vi.advanceTimersByTime(timeoutMs - 1);
    expect(stalls).toBe(0);
    vi.advanceTimersByTime(1);
    expect(stalls).toBe(1);
  });

  it('takes no engine for idle that has not seen the last request yet', () => {
    watch.onRequest();
    watch.onRequest();
    watch.onIdle(1);
    vi.advanceTimersByTime(timeoutMs);
    expect(stalls).toBe(1);
  });

  it('does not begin to watch for what comes late, after the last work was done', () => {
    watch.onRequest();
    watch.onIdle(1);
    watch.onProgress();
    vi.advanceTimersByTime(timeoutMs);
    expect(stalls).toBe(0);
  });

  it('finds nothing any more once it was stopped', () => {
    watch.onRequest();
    watch.stop();
    watch.onRequest();
    vi.advanceTimersByTime(timeoutMs);
    expect(stalls).toBe(0);
  });
});
