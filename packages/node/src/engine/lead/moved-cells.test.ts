import type { CacheOperation } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { MovedCells } from './moved-cells.ts';

const move: readonly CacheOperation[] = [
  { type: 'swap-out', sequence: 1, place: 0, from: 5, before: 9 },
  { type: 'swap-in', sequence: 1, place: 0, before: 9 },
  { type: 'swap-discard', place: 0 },
];

describe('cells that a step moves', () => {
  const lost = (later: readonly CacheOperation[], unsent: readonly CacheOperation[] = []) => {
    const moved = new MovedCells(move);
    moved.follow(later);
    return [...moved.slotsAfter(unsent)];
  };

  it('are lost with it by the slot that they were moved in', () => {
    expect(lost([])).toEqual([1]);
  });

  it('are lost by those that share them, whether that was sent or not', () => {
    expect(lost([{ type: 'copy', sequence: 1, to: 2, before: 4 }])).toEqual([1, 2]);
    expect(lost([], [{ type: 'copy', sequence: 1, to: 2, before: 4 }])).toEqual([1, 2]);
    expect(lost([{ type: 'copy', sequence: 3, to: 2, before: 4 }])).toEqual([1]);
  });

  it('are followed through main memory', () => {
    const out: CacheOperation = { type: 'swap-out', sequence: 1, place: 4 };
    expect(lost([out])).toEqual([]);
    expect(lost([out, { type: 'swap-in', place: 4, sequence: 2, before: 3 }])).toEqual([2]);
    expect(
      lost([out, { type: 'swap-discard', place: 4 }, { type: 'swap-in', place: 4, sequence: 2, before: 3 }]),
    ).toEqual([]);
  });

  it('are not lost by the next holder of a slot that was emptied', () => {
    expect(lost([{ type: 'remove', sequence: 1, from: 2 }])).toEqual([1]);
    expect(lost([{ type: 'remove', sequence: 1, from: 0 }])).toEqual([]);
    expect(new MovedCells([...move, { type: 'remove', sequence: 1, from: 0 }]).isEmpty).toBe(true);
  });
});
