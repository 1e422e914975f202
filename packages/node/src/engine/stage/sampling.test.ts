import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Sampling, Step } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest } from '../../stage-file/index.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { Stage } from './stage.ts';

let directory: string;
let stage: Stage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-sampling-'));
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const { manifest } = await createManifest({ file, name: 'tiny' });
  stage = new Stage(loadLibllama(await libraryDirectory('cpu')), {
    file,
    takesHidden: false,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens: 512,
    sequences: 2,
    batchTokens: 128,
    threads: 1,
    gpuLayers: 0,
  });
});

afterAll(async () => {
  stage[Symbol.dispose]();
  await rm(directory, { recursive: true });
});

const wild: Sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 7 };

function run(
  sequence: number,
  position: number,
  tokens: readonly number[],
  operations: Step['operations'] = [],
): number {
  const entries = [{ sequence, position, count: tokens.length, sample: true }];
  const output = stage.run({ type: 'step', step: 0, operations, entries }, { tokens: Int32Array.from(tokens) });
  if (!('tokens' in output)) throw new Error('a whole model gives tokens');
  return output.tokens[0]?.token ?? -1;
}

/** Continues a prompt in a slot, one token at a time. */
function continuation(sequence: number, prompt: readonly number[], count: number, sampling: Sampling): number[] {
  const tokens = [
    run(sequence, 0, prompt, [
      { type: 'remove', sequence, from: 0 },
      { type: 'sample-with', sequence, sampling },
    ]),
  ];
  while (tokens.length < count) tokens.push(run(sequence, prompt.length + tokens.length - 1, tokens.slice(-1)));
  return tokens;
}

const prompt = [5, 17, 42, 99, 3];

describe('sampling at the tail', () => {
  it.each([1, 7, 15])('continues as it would have when a sequence is replayed after %i tokens', (stopped) => {
    const whole = continuation(0, prompt, 20, wild);
    const replayed = continuation(1, [...prompt, ...whole.slice(0, stopped)], 20 - stopped, wild);
    expect(replayed).toEqual(whole.slice(stopped));
  });

  it('draws otherwise with another seed', () => {
    const other = continuation(0, prompt, 20, { ...wild, seed: 8 });
    expect(other).not.toEqual(continuation(0, prompt, 20, wild));
  });

  it('takes the likeliest token at temperature 0, whatever the seed', () => {
    const greedy = { ...wild, temperature: 0 };
    expect(continuation(0, prompt, 12, greedy)).toEqual(continuation(1, prompt, 12, { ...greedy, seed: 99 }));
  });

  it('keeps to the likeliest token when top-k is 1', () => {
    const greedy = continuation(0, prompt, 12, { ...wild, temperature: 0 });
    expect(continuation(0, prompt, 12, { ...wild, topK: 1 })).toEqual(greedy);
  });

  it.each([
    ['a slot beyond the stage', [{ sequence: 2, position: 0, count: 1, sample: true }]],
    ['more rows than a micro-batch holds', [{ sequence: 0, position: 0, count: 500, sample: true }]],
    ['two entries of one sequence', [0, 1].map((position) => ({ sequence: 0, position, count: 1, sample: true }))],
  ])('refuses %s', (_name, entries) => {
    const tokens = new Int32Array(entries.reduce((sum, { count }) => sum + count, 0));
    expect(() => stage.run({ type: 'step', step: 0, operations: [], entries }, { tokens })).toThrow(
      expect.objectContaining({ code: 'protocol-violation' }),
    );
  });
});
