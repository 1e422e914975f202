import { setImmediate as immediate } from 'node:timers/promises';

import {
  invariant,
  packPrompt,
  type GenerationEvent,
  type ReadAlongInput,
  type Resume,
  type Sampling,
} from '@skein/protocol';
import { Transcript, type GenerationUpdate } from '@skein/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { learnTokenizer } from '../../../../../scripts/fixtures/tokenizer.ts';
import { grammarOf } from '../json-schema/index.ts';
import type { Generation } from './lead.ts';
import { kinds, Pipeline, TinyModel, wild } from './test-support/pipeline.ts';

/** A generation that stops on one lead and goes on at another, with real stages. */
let model: TinyModel;

beforeAll(async () => {
  model = await TinyModel.create();
});

afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

const maxTokens = 24;

function asking(rest: Partial<Generation> = {}): Generation {
  const prompt = packPrompt({ type: 'text', text: 'tell me about those who tell' });
  return { prompt, sampling: wild, maxTokens, stop: [], ...rest };
}

type Delta = Extract<GenerationEvent, { type: 'text-delta' }>;

/** The events of a generation from one lead. */
interface Said {
  readonly begin: GenerationUpdate;
  readonly deltas: readonly Delta[];
  readonly cachedTokens: number | undefined;
  readonly end: { readonly finishReason: string; readonly promptTokens: number; readonly completionTokens: number };
}

/** Returns what resumes a generation behind its first deltas. */
function resumeAfter({ begin, deltas }: Said, seam: number): Resume {
  const transcript = new Transcript();
  for (const update of [begin, ...deltas.slice(0, seam)]) transcript.add(update);
  return invariant(transcript.continuation, 'the generation has begun').resume;
}

function textOf(deltas: readonly Delta[]): string {
  return deltas.map(({ text }) => text).join('');
}

/** Runs a generation to its end. */
async function say(pipeline: Pipeline, id: string, generation: Generation): Promise<Said> {
  pipeline.start(id, generation);
  await pipeline.answer(id);
  const events = pipeline.events.get(id) ?? [];
  const [begin, end] = [events[0], events.at(-1)];
  if (begin?.type !== 'generation-begin' || end?.type !== 'generation-end') throw new Error('it did not begin or end');
  const { finishReason, usage } = end;
  return {
    begin,
    cachedTokens: usage.cachedTokens,
    deltas: events.filter((event) => event.type === 'text-delta'),
    end: { finishReason, promptTokens: usage.promptTokens, completionTokens: usage.completionTokens },
  };
}

/** Reads a text along to its end. */
async function read(pipeline: Pipeline, id: string, reading: ReadAlongInput): Promise<void> {
  pipeline.lead.read(id, reading);
  for (;;) {
    const event = pipeline.events.get(id)?.at(-1);
    if (event?.type === 'generation-error') throw new Error(event.error.message);
    if (event?.type === 'read-along-end') return;
    await immediate();
  }
}

/** Tokens and, bit for bit, what the logits give. */
function drawnOf(deltas: readonly Delta[]) {
  return deltas.flatMap(({ tokens, logprobs = [], mu }) =>
    tokens.map((token, index) => ({ token, mu, logprob: logprobs[index]?.logprob, top: logprobs[index]?.top })),
  );
}

const grammar = (text: string): Partial<Generation> => ({ sampling: { ...wild, grammar: text } });
/** Penalties and all else that has a memory or a state, with draft tokens beside. */
const everything: Sampling = {
  ...wild,
  penalties: { lastTokens: -1, repeat: 1.2, frequency: 0.2, presence: 0.2 },
  dry: { multiplier: 1, base: 1.75, allowedLength: 2, lastTokens: -1, breakers: ['\n'] },
  mirostat: { version: 2, tau: 4, eta: 0.3 },
  grammar: 'root ::= ("those " | "who " | "tell " | "me ")+',
};

const people = {
  type: 'array',
  minItems: 3,
  items: {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 4 }, age: { type: 'integer', minimum: 0, maximum: 130 } },
    required: ['name', 'age'],
  },
};

const cases: readonly (readonly [name: string, generation: Generation])[] = [
  ...kinds.map(([name, sampling]) => [name, asking({ sampling })] as const),
  [
    'drawn with XTC, a typical share and biases',
    asking({
      sampling: {
        ...wild,
        xtc: { probability: 0.5, threshold: 0.02 },
        typicalP: 0.9,
        logitBias: [{ token: 70, bias: 2 }],
      },
    }),
  ],
  ['with the likeliest tokens beside', asking({ sampling: { ...wild, logprobs: 3 } })],
  ['of characters of several bytes', asking(grammar('root ::= [äß€漢😀]+'))],
  ['that a stop string ends', asking({ ...grammar('root ::= [abc]+'), stop: ['abca', 'bb'] })],
  [
    'that no stop string ends, though it holds text back',
    asking({ ...grammar('root ::= [ab]{30,}'), stop: ['abababac'] }),
  ],
  ['that follows a JSON schema', asking(grammar(grammarOf(JSON.stringify(people))))],
  ['that ends by itself', asking(grammar('root ::= [a-c]{9}'))],
  ['with draft tokens', asking({ ...grammar('root ::= ("abcd")+'), speculation: true })],
  ['of all samplers, with draft tokens', asking({ sampling: everything, speculation: true })],
];

describe.each([1, 2])('a generation that is resumed on another lead, over %i stages,', (stages) => {
  it.each(cases)('says after each token what it would have said, %s', async (_name, generation) => {
    using first = await Pipeline.create(model, stages);
    using second = await Pipeline.create(model, stages);
    const whole = await say(first, 'whole', generation);
    expect(whole.deltas.length).toBeGreaterThan(3);
    for (let seam = 0; seam <= whole.deltas.length; seam += 1) {
      const resume = resumeAfter(whole, seam);
      const rest = await say(second, `from ${seam}`, { ...generation, resume });
      expect(textOf(rest.deltas)).toBe(textOf(whole.deltas.slice(seam)));
      expect(drawnOf(rest.deltas)).toEqual(drawnOf(whole.deltas.slice(seam)));
      expect([rest.begin, rest.end]).toEqual([whole.begin, whole.end]);
    }
  });
});

/** Generates one delta of what is to be resumed; undefined behind the end. */
async function sayOne(pipeline: Pipeline, id: string, generation: Generation): Promise<Delta | undefined> {
  pipeline.start(id, generation);
  for (;;) {
    const events = pipeline.events.get(id) ?? [];
    const delta = events.find((event) => event.type === 'text-delta');
    if (delta !== undefined || events.at(-1)?.type === 'generation-end') {
      pipeline.lead.cancel(id);
      return delta;
    }
    await immediate();
  }
}

it.each(cases.slice(-4))(
  'a generation can go on at another lead for each of its tokens, %s',
  async (_name, generation) => {
    using first = await Pipeline.create(model, 1);
    using second = await Pipeline.create(model, 1);
    const whole = await say(first, 'whole', generation);
    const deltas: Delta[] = [];
    for (let count = 0; ; count += 1) {
      const resume = resumeAfter({ ...whole, deltas }, deltas.length);
      const next = await sayOne(count % 2 === 0 ? second : first, `from ${count}`, { ...generation, resume });
      if (next === undefined) break;
      deltas.push(next);
    }
    expect(textOf(deltas)).toBe(textOf(whole.deltas));
    expect(drawnOf(deltas)).toEqual(drawnOf(whole.deltas));
  },
);

it('generations that go on at one lead at once, each from another place, do so as alone', async () => {
  using first = await Pipeline.create(model, 1);
  using second = await Pipeline.create(model, 1);
  const generations = cases.slice(2, 6).map(([, generation]) => generation);
  const wholes: Said[] = [];
  for (const [index, generation] of generations.entries()) wholes.push(await say(first, `whole ${index}`, generation));
  for (const round of [0, 1, 2, 3, 4]) {
    const rests = await Promise.all(
      wholes.map(async (whole, index) => {
        const seam = (7 * round + 3 * index) % whole.deltas.length;
        const generation = { ...invariant(generations[index], 'one each'), resume: resumeAfter(whole, seam) };
        return { seam, said: await say(second, `round ${round}, ${index}`, generation) };
      }),
    );
    for (const [index, { seam, said }] of rests.entries()) {
      expect(drawnOf(said.deltas)).toEqual(drawnOf(wholes[index]?.deltas.slice(seam) ?? []));
    }
  }
});

describe.each([1, 2])('a generation that was read along, over %i stages,', (stages) => {
  it('starts from what was read, and says what it would have said', async () => {
    using first = await Pipeline.create(model, stages);
    using second = await Pipeline.create(model, stages);
    const generation = asking({ sampling: everything });
    const whole = await say(first, 'whole', generation);
    for (const seam of [0, 1, 7, whole.deltas.length - 2]) {
      const { promptHash, tokens } = resumeAfter(whole, seam);
      const { prompt } = generation;
      await read(second, `along ${seam}`, { prompt, askedAt: 0, promptHash, tokens });
      const resume = resumeAfter(whole, seam + 1);
      const rest = await say(second, `from ${seam}`, { ...generation, resume });
      expect(drawnOf(rest.deltas)).toEqual(drawnOf(whole.deltas.slice(seam + 1)));
      expect(rest.cachedTokens).toBe(whole.end.promptTokens);
    }
  });
});

it('texts that are read along tell those that hear of it that they begin, and that they go on, also before them', async () => {
  using pipeline = await Pipeline.create(model, 1);
  const { promptHash } = resumeAfter(await say(pipeline, 'whole', asking()), 0);
  const { prompt } = asking();
  const told = (id: string) => pipeline.events.get(id);
  // Longer between two looks at the clock than between two signs of life.
  pipeline.tickMs = 10_000;
  const reading = {
    prompt,
    askedAt: 0,
    promptHash,
    tokens: Array.from({ length: 150 }, (_, index) => 70 + (index % 9)),
  };
  pipeline.lead.read('deaf', reading);
  pipeline.lead.read('waits', { ...reading, hearsProgress: true });
  await read(pipeline, 'last', { ...reading, hearsProgress: true });
  const [{ type: first } = {}, ...rest] = told('waits') ?? [];
  expect([told('deaf')?.map(({ type }) => type), first]).toEqual([['read-along-end'], 'read-along-progress']);
  const begin = rest.find(({ type }) => type === 'read-along-begin');
  expect(begin).toEqual({ ...rest.at(-1), type: 'read-along-begin' });
});

it.each<[name: string, wrong: Partial<ReadAlongInput>]>([
  ['another prompt', { promptHash: '0'.repeat(64) }],
  ['a token that the model does not have', { tokens: [65_535] }],
])('nothing is read along with %s', async (_name, wrong) => {
  using pipeline = await Pipeline.create(model, 1);
  const { promptHash, tokens } = resumeAfter(await say(pipeline, 'whole', asking()), 1);
  const reading = { prompt: asking().prompt, askedAt: 0, promptHash, tokens, ...wrong };
  await expect(read(pipeline, 'wrong', reading)).rejects.toThrow('can not be resumed');
});

describe('a generation that is resumed', () => {
  let pipeline: Pipeline;

  beforeAll(async () => {
    pipeline = await Pipeline.create(model, 1);
  });

  afterAll(() => {
    pipeline[Symbol.dispose]();
  });

  it('sends what is known of the text and was not passed on', async () => {
    const generation = asking(grammar('root ::= [abc]+'));
    const whole = await say(pipeline, 'whole', generation);
    const resume = { ...resumeAfter(whole, 8), emittedCharacters: 3 };
    const rest = await say(pipeline, 'behind', { ...generation, resume });
    expect(textOf(rest.deltas)).toBe(textOf(whole.deltas).slice(3));
  });

  it.each<[name: string, resume: Partial<Resume>, sampling?: Sampling]>([
    ['more characters than the tokens have', { tokens: [70, 71], emittedCharacters: 99 }],
    ['a token that the model does not have', { tokens: [65_535] }],
    ['more tokens than the limit', { tokens: Array.from({ length: maxTokens + 1 }, () => 70) }],
    ['tokens behind the end', { tokens: [learnTokenizer().eos, 70] }],
    ['another prompt', { promptHash: '0'.repeat(64) }],
    ['tokens of Mirostat without its state', { tokens: [70] }, everything],
  ])('is refused with %s', async (_name, wrong, sampling = wild) => {
    const resume = { ...resumeAfter(await say(pipeline, 'whole', asking()), 0), ...wrong };
    pipeline.start('refused', asking({ sampling, resume }));
    expect(pipeline.events.get('refused')?.at(-1)).toMatchObject({
      type: 'generation-error',
      error: { code: 'invalid-request', message: expect.stringContaining('can not be resumed') as string },
    });
    pipeline.events.clear();
  });
});
