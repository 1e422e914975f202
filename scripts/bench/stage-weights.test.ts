import { expect, it } from 'vitest';

import { stageWeightBytes } from './stage-weights.ts';

const layersOf = ['blk.0.attn_q.weight', 'blk.1.attn_q.weight'].map((name) => [name, 1] as const);
const tied = { layers: 2, tensorBytes: new Map([['token_embd.weight', 100], ...layersOf, ['output_norm.weight', 10]]) };
const untied = { layers: 2, tensorBytes: new Map([...tied.tensorBytes, ['output.weight', 1000]]) };

it('counts all of a whole model once', () => {
  expect(stageWeightBytes(tied, { from: 0, to: 2 })).toBe(112);
  expect(stageWeightBytes(untied, { from: 0, to: 2 })).toBe(1112);
});

it('gives the tail the output matrix, or the token rows that serve as one', () => {
  expect(stageWeightBytes(untied, { from: 1, to: 2 })).toBe(1011);
  expect(stageWeightBytes(tied, { from: 1, to: 2 })).toBe(111);
});

it('gives the other stages their layers alone', () => {
  expect(stageWeightBytes(untied, { from: 0, to: 1 })).toBe(1);
});
