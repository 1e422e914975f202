import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  limits,
  ringMessageSchema,
  samplingSchema,
  type CacheOperation,
  type Logprobs,
  type Sampling,
} from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../../hardware/backend.ts';
import { createManifest } from '../../../stage-file/index.ts';
import { Tokenizer } from '../../lead/tokenizer.ts';
import { loadLibllama } from '../../libllama/libllama.ts';
import { Stage } from '../stage.ts';

let directory: string;
let stage: Stage;
let tokenizer: Tokenizer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-sampling-'));
  const file = join(directory, 'tiny.gguf');
  // Quantized, since llama.cpp rounds f16 products of one row and of several otherwise.
  await writeTinyModel('llama', file, { weights: 'q8_0' });
  const { manifest } = await createManifest({ file, name: 'tiny' });
  const library = loadLibllama(await libraryDirectory('cpu'));
  stage = new Stage(library, {
    file,
    takesHidden: false,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens: 512,
    sequences: 2,
    batchTokens: 128,
    threads: 1,
  });
  tokenizer = new Tokenizer(library, stage.model);
});

afterAll(async () => {
  stage[Symbol.dispose]();
  await rm(directory, { recursive: true });
});

const wild: Sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 7 };
const prompt = [5, 17, 42, 99, 3];

interface Step {
  readonly token: number;
  readonly mu: number | undefined;
  readonly logprobs: Logprobs | undefined;
}

/** Draws one token in each slot in one step: in slot 0 as told, in slot 1 without constraints. */
function drawBeside(rest: Omit<Extract<CacheOperation, { type: 'sample-with' }>, 'type' | 'sequence'>) {
  const entries = [0, 1].map((sequence) => ({ sequence, position: 0, count: prompt.length, sample: true }));
  const operations: CacheOperation[] = [
    ...entries.map(({ sequence }) => ({ type: 'remove', sequence, from: 0 }) as const),
    { type: 'sample-with', sequence: 0, history: prompt, ...rest },
    { type: 'sample-with', sequence: 1, history: prompt, sampling: wild },
  ];
  const output = stage.run(
    { type: 'step', step: 0, operations, entries },
    { tokens: Int32Array.from([...prompt, ...prompt]) },
  );
  if (!('draws' in output)) throw new Error('a whole model draws tokens');
  const [draw, other] = output.draws;
  return { draw, other };
}

/** Continues in a slot, one token at a time, from a text of which the last `generated` tokens were drawn before. */
function steps(
  sequence: number,
  text: readonly number[],
  count: number,
  rest: Omit<Extract<CacheOperation, { type: 'sample-with' }>, 'type' | 'sequence'>,
): Step[] {
  const drawn: Step[] = [];
  let operations: CacheOperation[] = [
    { type: 'remove', sequence, from: 0 },
    { type: 'sample-with', sequence, history: [...text], ...rest },
  ];
  let rows = text;
  let position = 0;
  while (drawn.length < count) {
    const entries = [{ sequence, position, count: rows.length, sample: true }];
    const output = stage.run({ type: 'step', step: 0, operations, entries }, { tokens: Int32Array.from(rows) });
    if (!('draws' in output)) throw new Error('a whole model draws tokens');
    const [draw] = output.draws;
    const token = draw?.tokens[0] ?? -1;
    drawn.push({ token, mu: draw?.mus?.[0], logprobs: draw?.logprobs?.[0] });
    position += rows.length;
    rows = [token];
    operations = [];
  }
  return drawn;
}

function continuation(sampling: Sampling, count = 20, sequence = 0): number[] {
  return steps(sequence, prompt, count, { sampling }).map(({ token }) => token);
}

function textOf(tokens: readonly number[]): string {
  return new TextDecoder().decode(Buffer.concat(tokens.map((token) => tokenizer.piece(token))));
}

const letters: Sampling = { ...wild, grammar: 'root ::= [a-f]+' };

const kinds: readonly (readonly [name: string, sampling: Sampling])[] = [
  ['plain temperature', wild],
  ['the truncating samplers', { ...wild, topK: 60, topP: 0.9, minP: 0.01, typicalP: 0.9 }],
  ['XTC', { ...wild, xtc: { probability: 0.7, threshold: 0.001 } }],
  ['XTC and a bias', { ...wild, xtc: { probability: 0.7, threshold: 0.001 }, logitBias: [{ token: 65, bias: 3 }] }],
  ['XTC and a grammar', { ...letters, xtc: { probability: 0.7, threshold: 0.001 } }],
  ['penalties', { ...wild, penalties: { lastTokens: -1, repeat: 1.5, frequency: 0.5, presence: 1 } }],
  ['DRY', { ...wild, dry: { multiplier: 2, base: 1.75, allowedLength: 1, lastTokens: -1, breakers: ['\n'] } }],
  ['logit bias', { ...wild, logitBias: [{ token: 65, bias: 3 }] }],
  ['Mirostat 1', { ...wild, mirostat: { version: 1, tau: 4, eta: 0.3 } }],
  ['Mirostat 2', { ...wild, mirostat: { version: 2, tau: 4, eta: 0.3 } }],
  ['a grammar', letters],
];

describe('a sequence that is replayed on another stage', () => {
  it.each(kinds)('continues as it would have, with %s', (_name, sampling) => {
    const whole = steps(0, prompt, 20, { sampling });
    for (const stopped of [1, 7, 15]) {
      const before = whole.slice(0, stopped).map(({ token }) => token);
      const mu = whole[stopped - 1]?.mu;
      const replayed = steps(1, [...prompt, ...before], 20 - stopped, {
        sampling,
        generated: stopped,
        ...(mu === undefined ? {} : { mu }),
      });
      expect(replayed.map(({ token }) => token)).toEqual(whole.slice(stopped).map(({ token }) => token));
    }
  });
});

describe('sampling at the tail', () => {
  it('draws otherwise with another seed', () => {
    expect(continuation({ ...wild, seed: 8 })).not.toEqual(continuation(wild));
  });

  it('takes the likeliest token at temperature 0, whatever the seed', () => {
    const greedy = { ...wild, temperature: 0 };
    expect(continuation(greedy, 12)).toEqual(continuation({ ...greedy, seed: 99 }, 12, 1));
  });

  it('takes the likeliest token at temperatures so low that logits divided by them are no numbers', () => {
    const likeliest = continuation({ ...wild, temperature: 0 }, 12);
    for (const temperature of [1e-320, 1e-45, 1e-40, 1e-38, 1e-5]) {
      expect(continuation({ ...wild, temperature }, 12, 1)).toEqual(likeliest);
    }
  });

  it.each<[name: string, sampling: Partial<Sampling>]>([
    ['the lowest', { temperature: 1e-320, topP: 1e-320, topK: 1, minP: 0, typicalP: 1e-320 }],
    ['the greatest', { temperature: 2, topP: 1, topK: limits.maxVocabularySize, minP: 1, typicalP: 1 }],
    ['XTC that drops all it may', { xtc: { probability: 1, threshold: 0 } }],
    ['the greatest penalties', { penalties: { lastTokens: 1_000_000, repeat: 10, frequency: 2, presence: 2 } }],
    ['the least penalties', { penalties: { lastTokens: 0, repeat: 0.1, frequency: -2, presence: -2 } }],
    ['the greatest biases', { logitBias: [1, 2, 3].map((token) => ({ token, bias: 1e9 })) }],
    ['all tokens banned', { logitBias: Array.from({ length: 512 }, (_, token) => ({ token, bias: -1e9 })) }],
    [
      'the greatest DRY',
      { dry: { multiplier: 100, base: 10, allowedLength: 1, lastTokens: 1_000_000, breakers: ['\0', 'é'.repeat(64)] } },
    ],
    ['DRY that looks at nothing', { dry: { multiplier: 100, base: 1, allowedLength: 1, lastTokens: 0, breakers: [] } }],
    ...([1, 2] as const).flatMap((version): [string, Partial<Sampling>][] => [
      [`Mirostat ${version} at its least`, { mirostat: { version, tau: 1e-320, eta: 1e-320 } }],
      [`Mirostat ${version} at its greatest`, { mirostat: { version, tau: 100, eta: 1 } }],
      [`Mirostat ${version} at a low temperature`, { temperature: 1e-40, mirostat: { version, tau: 5, eta: 0.1 } }],
      [
        `Mirostat ${version} with all tokens banned`,
        {
          mirostat: { version, tau: 5, eta: 0.1 },
          logitBias: Array.from({ length: 512 }, (_, token) => ({ token, bias: -1e9 })),
        },
      ],
    ]),
  ])('draws what can be sent on at the bounds of what may be asked for: %s', (_name, extreme) => {
    const sampling = samplingSchema.parse({ ...wild, logprobs: 20, ...extreme });
    const repeating = [...prompt, ...prompt, ...prompt];
    for (const { token, mu, logprobs } of steps(0, repeating, 8, { sampling })) {
      const draws = [
        { sequence: 0, tokens: [token], logprobs: [logprobs], ...(mu === undefined ? {} : { mus: [mu] }) },
      ];
      expect(ringMessageSchema.safeParse({ type: 'sampled', step: 0, draws }).error).toBeUndefined();
      expect(token).toBeLessThan(tokenizer.vocabularySize);
    }
  });

  it.each<[name: string, sampling: Sampling]>([
    ['top-k of 1', { ...wild, topK: 1 }],
    ['a small top-p', { ...wild, topP: 0.000_01 }],
    ['a min-p of 1', { ...wild, minP: 1 }],
  ])('keeps to the likeliest token with %s', (_name, sampling) => {
    expect(continuation(sampling, 12)).toEqual(continuation({ ...wild, temperature: 0 }, 12));
  });

  it.each(kinds.slice(1).filter(([name]) => name !== 'DRY'))(
    'draws otherwise with %s than without',
    (_name, sampling) => {
      expect(continuation(sampling)).not.toEqual(continuation(wild));
    },
  );

  it('says nothing twice under strong penalties, which reach back into the prompt', () => {
    const penalties = { lastTokens: -1, repeat: 1, frequency: 0, presence: 2 };
    const tokens = continuation({ ...wild, temperature: 0.01, penalties, logitBias: [] }, 30);
    expect(new Set(tokens).size).toBeGreaterThan(new Set(continuation({ ...wild, temperature: 0 }, 30)).size - 1);
  });

  it('does not go on with a repetition under DRY', () => {
    const repeating = [5, 17, 42, 99, 5, 17];
    const biased: Sampling = { ...wild, temperature: 0, logitBias: [{ token: 42, bias: 50 }] };
    const dry = { multiplier: 100, base: 1.75, allowedLength: 1, lastTokens: -1, breakers: [] };
    const next = (sampling: Sampling): number | undefined => steps(0, repeating, 1, { sampling })[0]?.token;
    expect(next(biased)).toBe(42);
    expect(next({ ...biased, dry })).not.toBe(42);
  });

  it('never draws a banned token, and always one of great bias', () => {
    const favourite = continuation({ ...wild, temperature: 0 }, 1)[0] ?? 0;
    const banned = { ...wild, temperature: 0, logitBias: [{ token: favourite, bias: -100 }] };
    expect(continuation(banned, 20)).not.toContain(favourite);
    expect(continuation({ ...wild, logitBias: [{ token: 77, bias: 90 }] }, 5)).toEqual([77, 77, 77, 77, 77]);
  });

  it('draws only what a grammar derives, and ends where it does', () => {
    expect(textOf(continuation(letters, 30))).toMatch(/^[a-f]+$/);
    const tokens = continuation({ ...wild, temperature: 0, grammar: 'root ::= "yes" | "no"' }, 6);
    const end = tokens.findIndex((token) => tokenizer.isEndOfGeneration(token));
    expect(end).toBeGreaterThan(0);
    expect(textOf(tokens.slice(0, end))).toMatch(/^(yes|no)$/);
  });

  it('reports log-probabilities that are those of the logits, likeliest first', () => {
    const [first] = steps(0, prompt, 1, { sampling: { ...wild, temperature: 0, logprobs: 5 } });
    const logits = stage.logits(prompt.length - 1);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    const logprobs = first?.logprobs;
    expect(logprobs?.top.map(({ token }) => token)[0]).toBe(first?.token);
    expect(logprobs?.logprob).toBeCloseTo(Math.log(Math.exp(logits[first?.token ?? 0] ?? 0) / sum), 4);
    const values = logprobs?.top.map(({ logprob }) => logprob) ?? [];
    expect(values).toHaveLength(5);
    expect(values).toEqual([...values].sort((one, other) => other - one));
  });

  it.each([
    ['nonsense', 'this is no grammar'],
    ['no root', 'start ::= "a"'],
    ['groups that are nested too deep', `root ::= ${'('.repeat(100_000)}"a"${')'.repeat(100_000)}`],
    ['groups that are nested too deep behind a class', `root ::= [^"] ${'('.repeat(5000)}"a"${')'.repeat(5000)}`],
    ['a repetition without measure', 'root ::= "a"{1000000}'],
    ['an unfinished class', 'root ::= [a-'],
  ])('refuses a grammar with %s, and draws on for the other sequences of the step', (_name, grammar) => {
    const sampling = { ...wild, grammar };
    expect(drawBeside({ sampling })).toMatchObject({
      draw: { tokens: [], error: { code: 'invalid-request', message: expect.stringContaining('grammar') as string } },
      other: { tokens: [continuation(wild, 1)[0]] },
    });
  });

  it('refuses a history that the grammar does not derive', () => {
    expect(drawBeside({ sampling: letters, generated: 2 })).toMatchObject({
      draw: { tokens: [], error: { code: 'invalid-request' } },
      other: { tokens: [continuation(wild, 1)[0]] },
    });
  });

  it('gives up on a grammar that takes too much work, and draws on for the other sequences of the step', () => {
    // Ways to read a text, and calls that are open, grow with each letter.
    const names = Array.from({ length: 150 }, (_, index) => `x${index}`);
    const rules = names.map((name) => `${name} ::= (${names.join(' | ')})? [^"]? (${names.join(' | ')})?`);
    const grammar = `root ::= ${names.join(' | ')}\n${rules.join('\n')}`;
    const history = Array.from({ length: 100 }, () => prompt).flat();
    expect(drawBeside({ sampling: { ...wild, grammar }, history, generated: history.length })).toMatchObject({
      draw: {
        tokens: [],
        error: { code: 'invalid-request', message: expect.stringContaining('too many ways') as string },
      },
      other: { tokens: [continuation(wild, 1)[0]] },
    });
  });

  it.each([
    ['a slot beyond the stage', [{ sequence: 2, position: 0, count: 1, sample: true }]],
    ['more rows than a micro-batch holds', [{ sequence: 0, position: 0, count: 500, sample: true }]],
    ['two entries of one sequence', [0, 1].map((position) => ({ sequence: 0, position, count: 1, sample: true }))],
    ['more draft tokens than rows', [{ sequence: 0, position: 0, count: 1, sample: true, draft: [1, 2] }]],
    [
      'more draft tokens than are ever made',
      [
        {
          sequence: 0,
          position: 0,
          count: 40,
          sample: true,
          draft: prompt.concat(Array.from({ length: 34 }, () => 1)),
        },
      ],
    ],
  ])('refuses %s', (_name, entries) => {
    const tokens = new Int32Array(entries.reduce((sum, { count }) => sum + count, 0));
    expect(() => stage.run({ type: 'step', step: 0, operations: [], entries }, { tokens })).toThrow(
      expect.objectContaining({ code: 'protocol-violation' }),
    );
  });
});
