import type { GenerationSettings } from '@skein/client';

import { seededRandom, type Random } from '../fixtures/random.ts';
import { learnTokenizer } from '../fixtures/tokenizer.ts';

/** A request of a run. The same one gets the same tokens each time. */
export interface RunRequest {
  readonly id: number;
  readonly kind: string;
  readonly model: string;
  /** The user's message. */
  readonly question: string;
  readonly settings: GenerationSettings;
  /** Number of choices. */
  readonly choices: number;
}

export interface DrawRequestsOptions {
  readonly models: readonly string[];
  readonly seed: number;
  /** Least tokens of an answer, and most. */
  readonly leastTokens: number;
  readonly mostTokens: number;
}

interface Kind {
  readonly name: string;
  /** Default 1. */
  readonly choices?: number;
  /** Returns settings for an answer of at least so many tokens, where nothing bounds it before. */
  readonly settings: (tokens: number) => GenerationSettings;
}

const tokenizer = learnTokenizer();
/** Control tokens, which would end answers or stand for no text. */
const banned = tokenizer.types.flatMap((type, token) => (type === 1 ? [] : [{ token, bias: -100 }]));
const endless = { logitBias: banned };
/** Nothing is left to defaults, which differ between the API and the SDK. */
const drawn = { temperature: 1, topP: 1, topK: 0, minP: 0 };
const people = (least: number) => ({
  type: 'array',
  minItems: least,
  items: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] },
});

/** All ways of drawing tokens, each with something that has to survive a change of replica. */
const kinds: readonly Kind[] = [
  { name: 'greedy', settings: () => ({ temperature: 0, ...endless }) },
  { name: 'sampled', settings: () => ({ ...drawn, ...endless }) },
  {
    name: 'penalties and DRY',
    settings: () => ({
      ...drawn,
      penalties: { lastTokens: 256, repeat: 1.2, presence: 0.3, frequency: 0.1 },
      dry: { multiplier: 1, base: 1.75, allowedLength: 2, lastTokens: 256, breakers: ['\n'] },
      ...endless,
    }),
  },
  { name: 'Mirostat', settings: () => ({ ...drawn, mirostat: { version: 2, tau: 4, eta: 0.3 }, ...endless }) },
  { name: 'grammar', settings: (tokens) => ({ ...drawn, grammar: `root ::= [a-z ]{${tokens},}` }) },
  {
    name: 'JSON schema',
    settings: (tokens) => ({ ...drawn, jsonSchema: people(Math.ceil(tokens / 8)) }),
  },
  { name: 'log-probabilities', settings: () => ({ ...drawn, logprobs: 2, ...endless }) },
  { name: 'bytes of characters', settings: (tokens) => ({ ...drawn, grammar: `root ::= [äß€漢😀]{${tokens},}` }) },
  {
    name: 'stop string',
    settings: (tokens) => ({ ...drawn, stop: ['ababababac'], grammar: `root ::= [ab]{${tokens},}` }),
  },
  { name: 'choices', choices: 2, settings: () => ({ ...drawn, ...endless }) },
];

/** Draws one request of each kind to each model. No two have the same prompt. */
export function drawRequests({ models, seed, leastTokens, mostTokens }: DrawRequestsOptions): readonly RunRequest[] {
  const random = seededRandom(seed);
  return models.flatMap((model, place) =>
    kinds.map(({ name, choices = 1, settings }, index) => {
      const maxTokens = leastTokens + Math.floor(random.uniform() * (mostTokens - leastTokens));
      const id = place * kinds.length + index;
      return {
        id,
        kind: name,
        model,
        question: question(id, random),
        settings: { maxTokens, seed: Math.floor(random.uniform() * 2 ** 31), ...settings(maxTokens) },
        choices,
      };
    }),
  );
}

function question(id: number, random: Random): string {
  const words = ['who', 'what', 'machine', 'network', 'person', 'layers', 'answer', 'fox'];
  const some = Array.from({ length: 8 }, () => words[Math.floor(random.uniform() * words.length)]);
  return `${id}: ${some.join(' ')}?`;
}
