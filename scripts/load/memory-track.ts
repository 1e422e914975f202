import { setTimeout as delay } from 'node:timers/promises';

import { memoryOf } from '../bench/memory.ts';
import { median } from '../bench/statistics.ts';

/** Resident memory of a process over a run, in bytes. */
export interface MemoryTrack {
  /** Median of the second fifth of the run, when caches and heaps are warm, and of the last fifth. */
  readonly earlyBytes: number;
  readonly lateBytes: number;
  readonly peakBytes: number;
}

const intervalMs = 250;

/** Follows the memory of processes until the signal aborts. */
export async function trackMemory(
  processes: Readonly<Record<string, number>>,
  over: AbortSignal,
): Promise<Readonly<Record<string, MemoryTrack>>> {
  const samples = Object.keys(processes).map(() => [] as number[]);
  const names = Object.entries(processes);
  for (;;) {
    for (const [index, [, pid]] of names.entries()) samples[index]?.push((await memoryOf(pid)).residentBytes);
    if (over.aborted) break;
    await delay(intervalMs, undefined, { signal: over }).catch(() => undefined);
  }
  return Object.fromEntries(names.map(([name], index) => [name, summaryOf(samples[index] ?? [])]));
}

/** Summarizes samples, one at least, in their order. */
export function summaryOf(samples: readonly number[]): MemoryTrack {
  const fifth = (which: number) => {
    const [from, to] = [which, which + 1].map((end) => Math.floor((end * samples.length) / 5));
    return median(samples.slice(from, Math.max(to ?? 0, (from ?? 0) + 1)));
  };
  return { earlyBytes: fifth(1), lateBytes: fifth(4), peakBytes: Math.max(...samples) };
}
