import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { CacheOperation, StepEntry } from '@skein/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest } from '../../stage-file/index.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { Stage } from './stage.ts';

const swapTokens = 150;
let directory: string;
let stage: Stage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-swap-'));
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file, { weights: 'q8_0' });
  const { manifest } = await createManifest({ file, name: 'tiny' });
  stage = new Stage(loadLibllama(await libraryDirectory('cpu')), {
    file,
    takesHidden: false,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens: 256,
    sequences: 3,
    swapTokens,
    batchTokens: 200,
    threads: 1,
  });
});

afterAll(async () => {
  stage[Symbol.dispose]();
  await rm(directory, { recursive: true });
});

const removed = (sequence: number): CacheOperation => ({ type: 'remove', sequence, from: 0 });
const out = (sequence: number, place: number): CacheOperation => ({ type: 'swap-out', sequence, place });

beforeEach(() => {
  const discards = [0, 1].map((place): CacheOperation => ({ type: 'swap-discard', place }));
  run([...[0, 1, 2].map(removed), ...discards]);
});

function run(
  operations: readonly CacheOperation[],
  entries: readonly StepEntry[] = [],
  tokens: readonly number[] = [],
) {
  const step = { type: 'step' as const, step: 0, operations: [...operations], entries: [...entries] };
  return stage.run(step, { tokens: Int32Array.from(tokens) });
}

const text = Array.from({ length: 20 }, (_, index) => 5 + index * 3);

/** Computes tokens from a position on, and returns the logits after the last. */
function logitsAfter(sequence: number, tokens: readonly number[], position = 0, operations: CacheOperation[] = []) {
  const sample = {
    type: 'sample-with' as const,
    sequence,
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  };
  run([...operations, sample], [{ sequence, position, count: tokens.length, sample: true }], tokens);
  return stage.logits(tokens.length - 1);
}

describe('the swap space of a stage', () => {
  it('brings a sequence back bit for bit, into another slot and beside others, up to any position', () => {
    const whole = logitsAfter(0, text);
    const half = logitsAfter(1, text.slice(0, 12));
    logitsAfter(2, text.toReversed());
    run([out(0, 0), removed(1)]);
    const swapIn = (before: number): CacheOperation => ({ type: 'swap-in', place: 0, sequence: 1, before });
    expect(logitsAfter(1, text.slice(19), 19, [swapIn(19)])).toEqual(whole);
    expect(logitsAfter(1, text.slice(11, 12), 11, [swapIn(11)])).toEqual(half);
  });

  it('moves a part of a sequence bit for bit to the lowest cells that are free, in order with the rest', () => {
    const whole = logitsAfter(0, text);
    logitsAfter(1, text.toReversed());
    logitsAfter(2, text.slice(0, 12));
    const move = (from: number, before: number): CacheOperation[] => [
      { type: 'swap-out', sequence: 2, place: 0, from, before },
      { type: 'swap-in', place: 0, sequence: 2, before },
      { type: 'swap-discard', place: 0 },
    ];
    logitsAfter(2, text.slice(12, 19), 12, [removed(1), ...move(0, 5), ...move(5, 12)]);
    expect(logitsAfter(2, text.slice(19), 19)).toEqual(whole);
  });

  it('moves nothing of a part that is not there, as of drafts that a tail has left out', () => {
    const whole = logitsAfter(0, text);
    logitsAfter(1, text.slice(0, 19));
    const move: CacheOperation[] = [
      { type: 'swap-out', sequence: 1, place: 0, from: 19, before: 22 },
      { type: 'swap-in', place: 0, sequence: 1, before: 22 },
      { type: 'swap-discard', place: 0 },
    ];
    expect(logitsAfter(1, text.slice(19), 19, move)).toEqual(whole);
  });

  it('brings back what took the memory of another that was discarded', () => {
    logitsAfter(0, text.toReversed());
    run([out(0, 0), { type: 'swap-discard', place: 0 }]);
    const whole = logitsAfter(1, text);
    run([out(1, 1)]);
    const swapIn: CacheOperation = { type: 'swap-in', place: 1, sequence: 2, before: 19 };
    expect(logitsAfter(2, text.slice(19), 19, [swapIn])).toEqual(whole);
  });

  it('frees the cells of what is swapped out', () => {
    const long = Array.from({ length: swapTokens }, (_, index) => 5 + index);
    logitsAfter(0, long);
    expect(() => logitsAfter(1, long)).toThrow(expect.objectContaining({ code: 'engine-failed' }));
    logitsAfter(1, long, 0, [removed(1), out(0, 0)]);
  });

  it.each<[name: string, operations: CacheOperation[], code: string]>([
    ['a place that is taken', [out(0, 0), out(1, 0)], 'protocol-violation'],
    ['more tokens than there is room for', [out(0, 0), out(1, 1)], 'protocol-violation'],
  ])('refuses %s, and applies the operations that follow', (_name, operations, code) => {
    logitsAfter(0, text);
    logitsAfter(
      1,
      Array.from({ length: swapTokens - text.length + 1 }, (_, index) => index),
    );
    const following = { type: 'remove' as const, sequence: 2, from: 0 };
    logitsAfter(2, [9, 9]);
    expect(() => logitsAfter(2, [9], 0, [...operations, following])).toThrow(expect.objectContaining({ code }));
    // Had the last operation not been applied, llama.cpp would refuse a row before others.
    logitsAfter(2, [9], 0);
  });

  it('fails a step without rows that it can not do, too', () => {
    logitsAfter(0, text);
    logitsAfter(1, text);
    const code = 'protocol-violation';
    expect(() => run([out(0, 0), out(1, 0)])).toThrow(expect.objectContaining({ code }));
  });

  it('brings back nothing from an empty place, as after a step that could not swap out', () => {
    const whole = logitsAfter(0, text);
    expect(logitsAfter(2, text, 0, [{ type: 'swap-in', place: 1, sequence: 2, before: 3 }])).toEqual(whole);
  });

  it('does the same twice without harm, as a lead does whose step has failed', () => {
    const whole = logitsAfter(0, text);
    run([out(0, 0)]);
    run([out(0, 0)]);
    const swapIn: CacheOperation = { type: 'swap-in', place: 0, sequence: 2, before: 19 };
    run([swapIn]);
    expect(logitsAfter(2, text.slice(19), 19, [swapIn])).toEqual(whole);
  });
});
