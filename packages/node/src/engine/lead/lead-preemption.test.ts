import { packPrompt, type Sampling } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { learnTokenizer } from '../../../../../scripts/fixtures/tokenizer.ts';
import type { Generation } from './lead.ts';
import { contextTokens, kinds, Pipeline, TinyModel, wild } from './test-support/pipeline.ts';

/** Texts that preemption may never change, with real stages. */
let model: TinyModel;

beforeAll(async () => {
  model = await TinyModel.create();
});

afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

const ids = ['first', 'second', 'third', 'fourth'] as const;

function asking(index: number, sampling: Sampling): Generation {
  const text = `${ids[index]}${' of those'.repeat(index + 1)}`;
  // All go on to the end.
  const endless = { ...sampling, seed: index, logitBias: [{ token: learnTokenizer().eos, bias: -100 }] };
  return {
    prompt: packPrompt({ type: 'text', text }),
    sampling: endless,
    maxTokens: 120,
    stop: [],
    speculation: false,
  };
}

const heard = new Map<string, Promise<unknown>>();

/** Returns the answer to a generation that has so many stages to itself. Each is computed once. */
async function alone(stages: number, generation: Generation): Promise<unknown> {
  const key = JSON.stringify([stages, generation]);
  const answer = heard.get(key) ?? computeAlone(stages, generation);
  heard.set(key, answer);
  return await answer;
}

async function computeAlone(stages: number, generation: Generation): Promise<unknown> {
  using pipeline = await Pipeline.create(model, stages);
  pipeline.start('alone', generation);
  return await pipeline.answer('alone');
}

it('a sequence that is away shows that it lives, so that nobody takes it for lost', async () => {
  using pipeline = await Pipeline.create(model, 1);
  pipeline.tickMs = 1000;
  for (const [index, id] of ids.entries()) pipeline.start(id, asking(index, wild));
  for (const id of ids) await pipeline.answer(id);
  const signs = (id: string) =>
    pipeline.events.get(id)?.filter((event) => event.type === 'text-delta' && event.tokens.length === 0);
  expect(signs('first')).toEqual([]);
  expect(signs('fourth')).not.toEqual([]);
  expect(await pipeline.answer('fourth')).toEqual(await alone(1, asking(3, wild)));
});

it('a limit beyond the context is cut to it, and lets others begin and end before it is reached', async () => {
  using pipeline = await Pipeline.create(model, 1);
  const greedy = { ...wild, temperature: 0 };
  pipeline.start('large', { ...asking(0, greedy), maxTokens: 8192 });
  pipeline.start('second', { ...asking(1, greedy), maxTokens: 10 });
  pipeline.start('third', { ...asking(2, greedy), maxTokens: 10 });
  await pipeline.answer('large');
  const end = pipeline.events.get('large')?.at(-1);
  if (end?.type !== 'generation-end') throw new Error('no end');
  expect(end.finishReason).toBe('length');
  expect(end.usage.promptTokens + end.usage.completionTokens).toBe(contextTokens);
  const ends = pipeline.emitted.flatMap(([id, type]) => (type === 'generation-end' ? id : []));
  expect(ends).toEqual(['second', 'third', 'large']);
});

/** Asks for a text of three tokens, which repeats itself, but turns where no draft foresees it. */
function drafting(index: number, sampling: Sampling): Generation {
  const common = [40, 50, 60].map((token) => ({ token, bias: 100 }));
  const { sampling: endless, ...rest } = asking(index, sampling);
  return { ...rest, speculation: true, maxTokens: 50, sampling: { ...endless, logitBias: common } };
}

describe.each([1, 2])('sequences of which drafts fall, over %i stages,', (stages) => {
  it.each(kinds.filter(([name]) => ['greedy', 'drawn', 'drawn by Mirostat 2'].includes(name)))(
    'say bit for bit what each says alone without drafts, %s',
    async (_name, sampling) => {
      using pipeline = await Pipeline.create(model, stages);
      pipeline.tickMs = 1;
      for (const [index, id] of ids.entries()) pipeline.start(id, drafting(index, sampling));
      for (const [index, id] of ids.entries()) {
        const undrafted = { ...drafting(index, sampling), speculation: false };
        expect(await pipeline.answer(id)).toEqual(await alone(stages, undrafted));
      }
      const { drafted, accepted } = pipeline.drafts();
      expect(drafted - accepted).toBeGreaterThan(10);
      expect(accepted).toBeGreaterThan(10);
    },
  );
});

describe.each([1, 2])('sequences that run out of room, over %i stages,', (stages) => {
  it.each(kinds)('say bit for bit what each says alone, %s', async (_name, sampling) => {
    using pipeline = await Pipeline.create(model, stages);
    for (const [index, id] of ids.entries()) pipeline.start(id, asking(index, sampling));
    for (const [index, id] of ids.entries()) {
      expect(await pipeline.answer(id)).toEqual(await alone(stages, asking(index, sampling)));
    }
    expect(pipeline.timesBegun).toBeGreaterThan(ids.length);
    expect(pipeline.operations).toContain('swap-in');
  });

  it.each(kinds)(
    'say it also where those are computed anew that have no room in main memory, %s',
    async (_name, sampling) => {
      using pipeline = await Pipeline.create(model, stages, 40);
      for (const [index, id] of ids.entries()) pipeline.start(id, asking(index, sampling));
      for (const [index, id] of ids.entries()) {
        expect(await pipeline.answer(id)).toEqual(await alone(stages, asking(index, sampling)));
      }
      expect(pipeline.timesBegun).toBeGreaterThan(ids.length);
    },
  );

  it('say bit for bit what each says alone where they begin alike, and share cells', async () => {
    using pipeline = await Pipeline.create(model, stages);
    const generations = ids.map((id, index): Generation => {
      const text = `${'tell me about those who tell '.repeat(3)}${id}`;
      return { ...asking(index, wild), prompt: packPrompt({ type: 'text', text }) };
    });
    for (const [index, generation] of generations.entries()) pipeline.start(`${index}`, generation);
    for (const [index, generation] of generations.entries()) {
      expect(await pipeline.answer(`${index}`)).toEqual(await alone(stages, generation));
    }
    expect(pipeline.timesBegun).toBeGreaterThan(generations.length);
    expect(pipeline.operations).toContain('copy');
  });
});
