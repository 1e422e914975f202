import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';

import {
  packPrompt,
  type Block,
  type GenerationEvent,
  type ModelManifest,
  type Sampling,
  type Step,
} from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { learnTokenizer } from '../../../../../scripts/fixtures/tokenizer.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest, ensureStageFile, fileSectionSource, splitArchitecture } from '../../stage-file/index.ts';
import { loadLibllama, type Libllama } from '../libllama/libllama.ts';
import { Stage, type StageInput } from '../stage/stage.ts';
import { Lead, type Generation } from './lead.ts';
import { TokenEmbedder } from './token-embedder.ts';
import { Tokenizer } from './tokenizer.ts';

/** What preemption may never change, with real stages: whole and split in two, in one process. */
const contextTokens = 256;
const sequences = 4;
const slots = 6;
let directory: string;
let library: Libllama;
let file: string;
let manifest: ModelManifest;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-preemption-'));
  file = join(directory, 'tiny.gguf');
  // Quantized, since llama.cpp rounds f16 products of one row and of several otherwise.
  await writeTinyModel('llama', file, { weights: 'q8_0' });
  ({ manifest } = await createManifest({ file, name: 'tiny' }));
  library = loadLibllama(await libraryDirectory('cpu'));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** A pipeline with its lead, and what it was told to do. */
class Pipeline implements Disposable {
  readonly lead: Lead;
  readonly events = new Map<string, GenerationEvent[]>();
  readonly emitted: [id: string, type: GenerationEvent['type']][] = [];
  readonly operations: Step['operations'][number]['type'][] = [];
  /** Milliseconds that pass between two looks at the clock; undefined: it is a real one. */
  tickMs: number | undefined;
  #nowMs = 0;
  readonly #resources = new DisposableStack();

  private constructor(stages: readonly [Stage, Stage?], embedder: TokenEmbedder | undefined, swapTokens: number) {
    const [first, second] = stages;
    for (const resource of [...stages, embedder]) if (resource !== undefined) this.#resources.use(resource);
    const tail = second ?? first;
    const tokenizer = new Tokenizer(library, tail.model);
    this.lead = new Lead(
      {
        tokenizer,
        chatTemplate: undefined,
        stage: {
          run: (step: Step, input: StageInput) => {
            this.operations.push(...step.operations.map(({ type }) => type));
            return first.run(step, input);
          },
        },
        embedder,
        sendStep: (step, hidden) => {
          setImmediate(() => {
            const output = tail.run(step, { hidden });
            if ('draws' in output) this.lead.completeStep({ step: step.step, draws: output.draws });
          });
        },
        checkSampling: () => undefined,
        emit: (id, event) => {
          this.emitted.push([id, event.type]);
          this.events.set(id, [...(this.events.get(id) ?? []), event]);
        },
        onProgress: () => undefined,
        onIdle: () => undefined,
        onLoad: () => undefined,
        now: () => (this.#nowMs = this.tickMs === undefined ? performance.now() : this.#nowMs + this.tickMs),
        defer: (callback) => setImmediate(callback),
      },
      {
        stages: second === undefined ? 1 : 2,
        sequences,
        slots,
        contextTokens,
        batchTokens: 63,
        chunkTokens: 48,
        draftTokens: 32,
        rewinds: true,
        swapTokens,
        stepCosts: [],
      },
    );
  }

  static async create(stages: number, swapTokens: number): Promise<Pipeline> {
    if (stages === 1) return new Pipeline([openStage(file, {})], undefined, swapTokens);
    const { layers, architecture } = manifest.shape;
    const middle = layers / 3;
    const cut = async (block: Block, kind: 'stage' | 'front') =>
      (await ensureStageFile({ manifest, block, kind, source: fileSectionSource(file), directory })).path;
    const first = openStage(await cut({ from: 0, to: middle }, 'stage'), {
      takesHidden: true,
      hiddenTensor: `${splitArchitecture(architecture)?.hiddenTensor}-${middle - 1}`,
    });
    const second = openStage(await cut({ from: middle, to: layers }, 'stage'), { takesHidden: true });
    const embedder = await TokenEmbedder.open(library, await cut({ from: 0, to: layers }, 'front'));
    return new Pipeline([first, second], embedder, swapTokens);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** How often a sequence has begun or come back. */
  get timesBegun(): number {
    return this.operations.filter((type) => type === 'sample-with').length;
  }

  start(id: string, generation: Generation): void {
    this.lead.start(id, generation);
  }

  async answer(id: string): Promise<unknown> {
    for (;;) {
      const events = this.events.get(id) ?? [];
      const last = events.at(-1);
      if (last?.type === 'generation-error') throw new Error(last.error.message);
      if (last?.type === 'generation-end') {
        const { finishReason, usage } = last;
        const { completionTokens } = usage;
        const deltas = events.filter((event) => event.type === 'text-delta');
        return {
          finishReason,
          completionTokens,
          text: deltas.map(({ text }) => text).join(''),
          // Bit for bit what the logits give.
          logprobs: deltas.flatMap(({ logprobs = [] }) => logprobs.map(({ token, logprob }) => [token, logprob])),
        };
      }
      await immediate();
    }
  }
}

function openStage(path: string, options: { takesHidden?: boolean; hiddenTensor?: string }): Stage {
  return new Stage(library, {
    file: path,
    takesHidden: false,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens,
    sequences: slots,
    swapTokens: contextTokens,
    batchTokens: 128,
    threads: 1,
    gpuLayers: 0,
    ...options,
  });
}

const wild: Sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 7, logprobs: 0 };
const json = String.raw`
root ::= "{" pair ("," pair){12,} "}"
pair ::= string ":" (string | number)
string ::= "\"" [a-z ]* "\""
number ::= [0-9]+`;
const kinds: readonly (readonly [name: string, sampling: Sampling])[] = [
  ['greedy', { ...wild, temperature: 0 }],
  ['drawn', wild],
  ['drawn with penalties', { ...wild, penalties: { lastTokens: -1, repeat: 1.5, frequency: 0.5, presence: 1 } }],
  ['drawn with DRY', { ...wild, dry: { multiplier: 2, base: 1.75, allowedLength: 1, lastTokens: -1, breakers: [] } }],
  ['drawn by Mirostat 1', { ...wild, mirostat: { version: 1, tau: 4, eta: 0.3 } }],
  ['drawn by Mirostat 2', { ...wild, mirostat: { version: 2, tau: 4, eta: 0.3 } }],
  ['of a JSON grammar', { ...wild, grammar: json }],
];

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

async function alone(stages: number, generation: Generation): Promise<unknown> {
  using pipeline = await Pipeline.create(stages, contextTokens);
  pipeline.start('alone', generation);
  return await pipeline.answer('alone');
}

it('a sequence that is away shows that it lives, so that nobody takes it for lost', async () => {
  using pipeline = await Pipeline.create(1, contextTokens);
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
  using pipeline = await Pipeline.create(1, contextTokens);
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

describe.each([1, 2])('sequences that run out of room, over %i stages,', (stages) => {
  it.each(kinds)('say bit for bit what each says alone, %s', async (_name, sampling) => {
    using pipeline = await Pipeline.create(stages, contextTokens);
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
      using pipeline = await Pipeline.create(stages, 40);
      for (const [index, id] of ids.entries()) pipeline.start(id, asking(index, sampling));
      for (const [index, id] of ids.entries()) {
        expect(await pipeline.answer(id)).toEqual(await alone(stages, asking(index, sampling)));
      }
      expect(pipeline.timesBegun).toBeGreaterThan(ids.length);
    },
  );

  it('say bit for bit what each says alone where they begin alike, and share cells', async () => {
    using pipeline = await Pipeline.create(stages, contextTokens);
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
