import { expect, test } from 'vitest';

import { livenessPresets } from './presets.ts';
import { FailureDetector } from './failure-detector.ts';

/** A clock that is moved by hand, and members that send a byte at some of its ticks. */
class Observer {
  readonly silence = new FailureDetector(0);
  readonly received = new Map<string, number>();
  nowMs = 0;

  /** Checks every 100 ms, as ours does, up to a time. Heartbeats of that time arrive before the check. */
  runTo(untilMs: number, sends: (nowMs: number) => readonly string[] = () => []): { peerId: string; atMs: number }[] {
    const dead: { peerId: string; atMs: number }[] = [];
    while (this.nowMs < untilMs) {
      this.nowMs += 100;
      for (const peerId of sends(this.nowMs)) this.received.set(peerId, (this.received.get(peerId) ?? 0) + 1);
      dead.push(...this.check().map(({ peerId }) => ({ peerId, atMs: this.nowMs })));
    }
    return dead;
  }

  check() {
    return this.silence.check(this.nowMs, (peerId) => this.received.get(peerId) ?? 0);
  }
}

/** Sends at every multiple of some milliseconds. */
const every =
  (periodMs: number, ...peerIds: readonly string[]) =>
  (nowMs: number): readonly string[] =>
    nowMs % periodMs === 0 ? peerIds : [];

test('declares a member dead after its period of silence, once', () => {
  const observer = new Observer();
  observer.silence.watch('quiet', 1200);
  observer.silence.watch('alive', 1200);
  observer.runTo(900, every(300, 'alive', 'quiet'));
  expect(observer.runTo(10_000, every(300, 'alive'))).toEqual([{ peerId: 'quiet', atMs: 2200 }]);
});

test('says how long the silence was', () => {
  const observer = new Observer();
  observer.silence.watch('quiet', 250);
  observer.runTo(300);
  observer.nowMs = 400;
  expect(observer.check()).toEqual([{ peerId: 'quiet', silentMs: 300 }]);
});

test('keeps a member that is slow, as long as something comes within the period', () => {
  const observer = new Observer();
  observer.silence.watch('slow', 1200);
  expect(observer.runTo(60_000, every(1200, 'slow'))).toEqual([]);
});

test('knows nobody whom it was not told to watch, or told to forget', () => {
  const observer = new Observer();
  expect(observer.runTo(5000)).toEqual([]);
  observer.silence.watch('gone', 1200);
  observer.silence.forget('gone');
  expect(observer.runTo(10_000)).toEqual([]);
});

test('passes no verdict for the time of a stall of its own, and gives everyone a fresh period after it', () => {
  const observer = new Observer();
  observer.silence.watch('quiet', 1200);
  observer.runTo(1200);
  observer.nowMs += 3000;
  expect(observer.check()).toEqual([]);
  const { nowMs } = observer;
  expect(observer.runTo(nowMs + 1200)).toEqual([]);
  expect(observer.runTo(nowMs + 1300)).toEqual([{ peerId: 'quiet', atMs: nowMs + 1300 }]);
});

test('judges by the latest word on how patient to be with a member', () => {
  const observer = new Observer();
  observer.silence.watch('laptop', 1200);
  observer.runTo(1000);
  observer.silence.watch('laptop', 4000);
  expect(observer.runTo(6000)).toEqual([{ peerId: 'laptop', atMs: 4200 }]);
});

test('has presets that can be mixed: the least patient member waits for two heartbeats of any other', () => {
  const all = Object.values(livenessPresets);
  const longestBeatMs = Math.max(...all.map(({ beatMs }) => beatMs));
  for (const { deadAfterMs } of all) expect(deadAfterMs).toBeGreaterThanOrEqual(2 * longestBeatMs);
});
