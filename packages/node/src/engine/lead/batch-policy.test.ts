import { describe, expect, it } from 'vitest';

import { placesInRing, planBatch, type BatchOptions, type Ready } from './batch-policy.ts';

interface Named extends Ready {
  readonly name: string;
}

const options: BatchOptions = { stages: 1, batchTokens: 8, chunkTokens: 6, draftTokens: 4 };

function waiting(name: string, unsent: number, rest: Partial<Ready> = {}): Named {
  return { name, unsent, readsTiles: false, isLeaving: false, draws: true, moves: false, stepsBeside: 0, ...rest };
}

function rowsOf(running: readonly Named[], freeCells = 100, overrides: Partial<BatchOptions> = {}) {
  const { rows, ...rest } = planBatch(running, freeCells, { ...options, ...overrides });
  return { rows: rows.map(({ sequence, knownTokens }) => [sequence.name, knownTokens]), ...rest };
}

describe('the next micro-batch', () => {
  it('has the rows of those that decode before those of prompts, up to a chunk', () => {
    const { rows } = rowsOf([waiting('prompt', 20), waiting('first', 1), waiting('second', 1)]);
    expect(rows).toEqual([
      ['first', 1],
      ['second', 1],
      ['prompt', 6],
    ]);
  });

  it('has no more sequences than a fair share of those that run', () => {
    const running = ['first', 'second', 'third'].map((name) => waiting(name, 1));
    expect(rowsOf(running, 100, { stages: 2 }).rows.map(([name]) => name)).toEqual(['first', 'second']);
  });

  it('has a tile alone, and only where there is room for all of it', () => {
    const running = [waiting('long', 200, { readsTiles: true }), waiting('decoding', 1)];
    const tiles = { rows: 10, from: 30 };
    expect(rowsOf(running, 10, { tiles })).toEqual({ rows: [['long', 10]], isStarved: false, draftRoom: 0 });
    expect(rowsOf(running, 9, { tiles })).toEqual({ rows: [], isStarved: true, draftRoom: 0 });
  });

  it('has nothing of a sequence that is to leave, or waits for the tail', () => {
    const running = [waiting('leaving', 1, { isLeaving: true }), waiting('waiting', 0)];
    expect(rowsOf(running)).toEqual({ rows: [], isStarved: false, draftRoom: 0 });
  });

  it('leaves a cell for the next token of each other sequence when it reads a prompt', () => {
    const running = [waiting('prompt', 20), waiting('one', 0), waiting('two', 0)];
    expect(rowsOf(running, 5).rows).toEqual([['prompt', 3]]);
    expect(rowsOf(running, 2)).toMatchObject({ rows: [], isStarved: true });
  });

  it('has room for draft tokens where all decode, and where no known token needs the cells', () => {
    const running = [waiting('first', 1), waiting('second', 1)];
    expect(rowsOf(running).draftRoom).toBe(4);
    expect(rowsOf(running, 7).draftRoom).toBe(3);
    expect(rowsOf(running, 3).draftRoom).toBe(0);
    expect(rowsOf([...running, waiting('prompt', 3)]).draftRoom).toBe(0);
  });
});

it('a ring has one place more than stages while a prompt is read', () => {
  expect(placesInRing([waiting('decoding', 1)], 3)).toBe(3);
  expect(placesInRing([waiting('decoding', 1), waiting('prompt', 9)], 3)).toBe(4);
  expect(placesInRing([waiting('prompt', 9)], 1)).toBe(1);
});
