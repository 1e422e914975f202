import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';

import type { Block, ModelManifest, Sampling, Step } from '@skein/protocol';

import { writeTinyModel } from '../../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../../hardware/backend.ts';
import { createManifest, ensureStageFile, fileSectionSource, splitArchitecture } from '../../../stage-file/index.ts';
import { loadLibllama, type Libllama } from '../../libllama/libllama.ts';
import { Stage, type StageInput } from '../../stage/stage.ts';
import { Lead, type Generation, type LeadEvent } from '../lead.ts';
import type { SchedulerOptions } from '../scheduler.ts';
import { TokenEmbedder } from '../token-embedder.ts';
import { Tokenizer } from '../tokenizer.ts';

export const contextTokens = 256;
export const sequences = 4;
const slots = 6;

/** A tiny model on the disk, and the library to load it with. */
export class TinyModel implements AsyncDisposable {
  readonly library: Libllama;
  readonly directory: string;
  readonly file: string;
  readonly manifest: ModelManifest;

  static async create(): Promise<TinyModel> {
    const directory = await mkdtemp(join(tmpdir(), 'skein-pipeline-'));
    const file = join(directory, 'tiny.gguf');
    // Quantized, since llama.cpp rounds f16 products of one row and of several otherwise.
    await writeTinyModel('llama', file, { weights: 'q8_0' });
    const { manifest } = await createManifest({ file, name: 'tiny' });
    return new TinyModel({ directory, file, manifest, library: loadLibllama(await libraryDirectory('cpu')) });
  }

  private constructor(parts: Pick<TinyModel, 'library' | 'directory' | 'file' | 'manifest'>) {
    ({ library: this.library, directory: this.directory, file: this.file, manifest: this.manifest } = parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

/** Sampling settings, each of a kind that remembers something else. */
export const wild: Sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 7, logprobs: 0 };
const json = String.raw`
root ::= "{" pair ("," pair){12,} "}"
pair ::= string ":" (string | number)
string ::= "\"" [a-z ]* "\""
number ::= [0-9]+`;
export const kinds: readonly (readonly [name: string, sampling: Sampling])[] = [
  ['greedy', { ...wild, temperature: 0 }],
  ['drawn', wild],
  ['drawn with penalties', { ...wild, penalties: { lastTokens: -1, repeat: 1.5, frequency: 0.5, presence: 1 } }],
  ['drawn with DRY', { ...wild, dry: { multiplier: 2, base: 1.75, allowedLength: 1, lastTokens: -1, breakers: [] } }],
  ['drawn by Mirostat 1', { ...wild, mirostat: { version: 1, tau: 4, eta: 0.3 } }],
  ['drawn by Mirostat 2', { ...wild, mirostat: { version: 2, tau: 4, eta: 0.3 } }],
  ['of a JSON grammar', { ...wild, grammar: json }],
];

/** A pipeline with its lead, whole or split in two, in one process, with records of its events and operations. */
export class Pipeline implements Disposable {
  readonly lead: Lead;
  readonly events = new Map<string, LeadEvent[]>();
  readonly emitted: [id: string, type: LeadEvent['type']][] = [];
  readonly operations: Step['operations'][number]['type'][] = [];
  /** Milliseconds that pass between two looks at the clock; undefined for a real clock. */
  tickMs: number | undefined;
  #nowMs = 0;
  readonly #resources = new DisposableStack();

  private constructor(
    library: Libllama,
    { stages, embedder }: { readonly stages: readonly [Stage, Stage?]; readonly embedder: TokenEmbedder | undefined },
    options: Pick<SchedulerOptions, 'swapTokens'>,
  ) {
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
          runFailed: (step) => {
            first.runFailed(step);
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
        onPrefixes: () => undefined,
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
        ...options,
        stepCosts: [],
      },
    );
  }

  static async create(model: TinyModel, stages: number, swapTokens = contextTokens): Promise<Pipeline> {
    const { library, file, manifest, directory } = model;
    const open = (path: string, options: { takesHidden?: boolean; hiddenTensor?: string }) =>
      openStage(model, path, options);
    if (stages === 1) return new Pipeline(library, { stages: [open(file, {})], embedder: undefined }, { swapTokens });
    const { layers, architecture } = manifest.shape;
    const middle = layers / 3;
    const cut = async (block: Block, kind: 'stage' | 'front') =>
      (await ensureStageFile({ manifest, block, kind, source: fileSectionSource(file), directory })).path;
    const first = open(await cut({ from: 0, to: middle }, 'stage'), {
      takesHidden: true,
      hiddenTensor: `${splitArchitecture(architecture)?.hiddenTensor}-${middle - 1}`,
    });
    const second = open(await cut({ from: middle, to: layers }, 'stage'), { takesHidden: true });
    const embedder = await TokenEmbedder.open(library, await cut({ from: 0, to: layers }, 'front'));
    return new Pipeline(library, { stages: [first, second], embedder }, { swapTokens });
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Number of times that a sequence has begun or come back. */
  get timesBegun(): number {
    return this.operations.filter((type) => type === 'sample-with').length;
  }

  /** Counts the draft tokens of the answers that have come to their ends. */
  drafts(): { readonly drafted: number; readonly accepted: number } {
    const usages = [...this.events.values()].flatMap((events) =>
      events.flatMap((event) => (event.type === 'generation-end' ? event.usage : [])),
    );
    return {
      drafted: usages.reduce((sum, { draftedTokens = 0 }) => sum + draftedTokens, 0),
      accepted: usages.reduce((sum, { acceptedTokens = 0 }) => sum + acceptedTokens, 0),
    };
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

function openStage(
  { library, manifest }: TinyModel,
  path: string,
  options: { takesHidden?: boolean; hiddenTensor?: string },
): Stage {
  return new Stage(library, {
    file: path,
    takesHidden: false,
    hiddenSize: manifest.shape.hiddenSize,
    contextTokens,
    sequences: slots,
    swapTokens: contextTokens,
    batchTokens: 128,
    threads: 1,
    ...options,
  });
}
