import { packPrompt, type GenerationEvent, type Resume, type Sampling } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { learnTokenizer } from '../../../../../scripts/fixtures/tokenizer.ts';
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
  return { prompt, sampling: wild, maxTokens, stop: [], speculation: false, ...rest };
}

type Delta = Extract<GenerationEvent, { type: 'text-delta' }>;

/** Returns what resumes a generation behind these deltas. */
function resumeAfter(deltas: readonly Delta[]): Resume {
  const mu = deltas.findLast(({ tokens }) => tokens.length > 0)?.mu;
  return {
    tokens: deltas.flatMap(({ tokens }) => tokens),
    emittedCharacters: textOf(deltas).length,
    ...(mu !== undefined && { mu }),
  };
}

function textOf(deltas: readonly Delta[]): string {
  return deltas.map(({ text }) => text).join('');
}

/** Runs a generation; returns its begin, its deltas and its end. */
async function say(pipeline: Pipeline, id: string, generation: Generation) {
  pipeline.start(id, generation);
  await pipeline.answer(id);
  const events = pipeline.events.get(id) ?? [];
  const end = events.at(-1);
  return {
    begin: events[0],
    deltas: events.filter((event) => event.type === 'text-delta'),
    end: end?.type === 'generation-end' && {
      finishReason: end.finishReason,
      promptTokens: end.usage.promptTokens,
      completionTokens: end.usage.completionTokens,
    },
  };
}

/** Tokens and, bit for bit, what the logits give. */
function drawnOf(deltas: readonly Delta[]) {
  return deltas.flatMap(({ tokens, logprobs = [], mu }) =>
    tokens.map((token, index) => ({ token, mu, logprob: logprobs[index]?.logprob })),
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

const cases: readonly (readonly [name: string, generation: Generation])[] = [
  ...kinds.map(([name, sampling]) => [name, asking({ sampling })] as const),
  ['of characters of several bytes', asking(grammar('root ::= [äß€漢😀]+'))],
  ['that a stop string ends', asking({ ...grammar('root ::= [abc]+'), stop: ['abca', 'bb'] })],
  [
    'that no stop string ends, though it holds text back',
    asking({ ...grammar('root ::= [ab]{30,}'), stop: ['abababac'] }),
  ],
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
      const resume = resumeAfter(whole.deltas.slice(0, seam));
      const rest = await say(second, `from ${seam}`, { ...generation, resume });
      expect(textOf(rest.deltas)).toBe(textOf(whole.deltas.slice(seam)));
      expect(drawnOf(rest.deltas)).toEqual(drawnOf(whole.deltas.slice(seam)));
      expect([rest.begin, rest.end]).toEqual([whole.begin, whole.end]);
    }
  });
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
    const { deltas } = await say(pipeline, 'whole', generation);
    const { tokens } = resumeAfter(deltas.slice(0, 8));
    const rest = await say(pipeline, 'behind', { ...generation, resume: { tokens, emittedCharacters: 3 } });
    expect(textOf(rest.deltas)).toBe(textOf(deltas).slice(3));
  });

  it.each([
    ['more characters than the tokens have', { tokens: [70, 71], emittedCharacters: 99 }],
    ['a token that the model does not have', { tokens: [65_535], emittedCharacters: 0 }],
    ['more tokens than the limit', { tokens: Array.from({ length: maxTokens + 1 }, () => 70), emittedCharacters: 0 }],
    ['tokens behind the end', { tokens: [learnTokenizer().eos, 70], emittedCharacters: 0 }],
  ])('is refused with %s', (_name, resume) => {
    pipeline.start('refused', asking({ resume }));
    expect(pipeline.events.get('refused')?.at(-1)).toMatchObject({
      type: 'generation-error',
      error: { code: 'invalid-request', message: expect.stringContaining('can not be resumed') as string },
    });
    pipeline.events.clear();
  });
});
