import { SkeinError, type CacheOperation, type Sampling, type Step, type StepEntry } from '@skein/protocol';

import type { ContextPointer, Libllama, MemoryPointer, ModelPointer } from '../libllama/libllama.ts';
import { GraphHook } from './graph-hook.ts';
import { MicroBatch } from './micro-batch.ts';
import { Sampler } from './sampler.ts';

export interface StageOptions {
  /** Stage file or whole model. */
  readonly file: string;
  /** Rows come in as hidden states rather than as token ids. True for every stage of a split, the lead's too. */
  readonly takesHidden: boolean;
  /** Name of the tensor with the hidden rows that leave the stage; absent on the tail, which samples instead. */
  readonly hiddenTensor?: string | undefined;
  /** Tensor to overwrite with the rows that come in; see {@link GraphHook}. */
  readonly inputTensor?: string | undefined;
  /** Elements of one hidden row. */
  readonly hiddenSize: number;
  /** KV cache, in tokens, shared by all sequences. */
  readonly contextTokens: number;
  readonly sequences: number;
  /** Largest micro-batch, in rows. */
  readonly batchTokens: number;
  readonly threads: number;
  /** Layers to place on the GPU; 0 keeps all on the CPU, a negative number places all. */
  readonly gpuLayers: number;
}

export type StageInput = { tokens: Int32Array } | { hidden: Uint8Array };

/** Hidden rows for the next stage, or tokens drawn by the tail, in the order of the entries that asked for one. */
export type StageOutput = { hidden: Uint8Array } | { tokens: { sequence: number; token: number }[] };

const greedy: Sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
const bytesPerElement = 4;

/**
 * A contiguous block of a model's layers with its KV cache: the whole model, or a stage of a split. One micro-batch at
 * a time, on the thread that calls.
 */
export class Stage {
  readonly #library: Libllama;
  readonly #options: StageOptions;
  readonly #model: ModelPointer;
  readonly #context: ContextPointer;
  readonly #memory: MemoryPointer;
  readonly #batch: MicroBatch;
  readonly #hook: GraphHook | undefined;
  readonly #sampler: Sampler | undefined;
  readonly #sampling = new Map<number, Sampling>();
  #isDisposed = false;

  /** Loads the model. Throws `engine-failed` when llama.cpp can't. */
  constructor(library: Libllama, options: StageOptions) {
    this.#library = library;
    this.#options = options;
    const model = library.modelLoad(options.file, {
      ...library.modelDefaultParams(),
      n_gpu_layers: options.gpuLayers,
    });
    if (model === null) {
      throw new SkeinError(
        'engine-failed',
        'llama.cpp could not load the model file; its log, at debug level, says why',
      );
    }
    this.#model = model;
    const isTail = options.hiddenTensor === undefined;
    if (!isTail || options.inputTensor !== undefined) this.#hook = new GraphHook(library, options);
    // The tail un-embeds only rows that are sampled from, one per sequence: room for more would cost a vocabulary each.
    const outputs = isTail ? options.sequences : options.batchTokens;
    const context = library.contextNew(model, {
      ...library.contextDefaultParams(),
      n_ctx: options.contextTokens,
      n_batch: options.batchTokens,
      n_ubatch: options.batchTokens,
      n_seq_max: options.sequences,
      n_outputs_max: outputs,
      n_outputs_max_per_seq: isTail ? 1 : options.batchTokens,
      n_threads: options.threads,
      n_threads_batch: options.threads,
      // One decode then keeps its rows in order, which is what lets them cross to the next stage as they are.
      kv_unified: true,
      // Sequences are cut back and replayed at any position, which a cache of just the window would not allow.
      swa_full: true,
      ...(this.#hook === undefined ? {} : { cb_eval: this.#hook.callback }),
    });
    if (context === null) {
      library.modelFree(model);
      throw new SkeinError(
        'engine-failed',
        `llama.cpp could not make a context of ${options.contextTokens} tokens; ask for a smaller one`,
      );
    }
    this.#context = context;
    this.#memory = library.memory(context);
    this.#batch = new MicroBatch(library, options.batchTokens);
    if (isTail) this.#sampler = new Sampler(library, context);
  }

  get model(): ModelPointer {
    return this.#model;
  }

  /**
   * Applies a step's cache operations, then computes its rows.
   *
   * @throws SkeinError `protocol-violation` for a step that does not fit this stage, `engine-failed` when llama.cpp
   * fails; the KV cache of the step's sequences is then undefined until they are removed.
   */
  run(step: Step, input: StageInput): StageOutput {
    // llama.cpp would not notice that its memory is gone.
    if (this.#isDisposed) throw new SkeinError('engine-failed', 'the stage has been unloaded');
    for (const operation of step.operations) this.#apply(operation);
    const rows = step.entries.reduce((sum, entry) => sum + entry.count, 0);
    this.#checkInput(step, input, rows);
    if (rows > 0) this.#decode(step.entries, input, rows);
    if (this.#sampler !== undefined) return { tokens: this.#draw(step.entries, this.#sampler) };
    return { hidden: rows > 0 && this.#hook !== undefined ? this.#hook.take() : new Uint8Array(0) };
  }

  /** Logits of a row of the last step, for tests of conformance. Tail only. */
  logits(row: number): Float32Array {
    const pointer = this.#library.logits(this.#context, row);
    if (pointer === null) throw new SkeinError('engine-failed', `row ${row} has no logits`);
    return this.#library.readFloats(pointer, this.#library.vocabSize(this.#library.modelVocab(this.#model)));
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#sampler?.[Symbol.dispose]();
    this.#library.contextFree(this.#context);
    this.#library.modelFree(this.#model);
  }

  #apply(operation: CacheOperation): void {
    if (operation.sequence >= this.#options.sequences) {
      throw new SkeinError(
        'protocol-violation',
        `sequence ${operation.sequence} is beyond the stage's ${this.#options.sequences}`,
      );
    }
    switch (operation.type) {
      case 'remove':
        this.#library.memoryRemove(this.#memory, operation.sequence, operation.from, -1);
        break;
      case 'sample-with':
        this.#sampling.set(operation.sequence, operation.sampling);
        break;
    }
  }

  #checkInput(step: Step, input: StageInput, rows: number): void {
    const { hiddenSize, sequences, takesHidden, batchTokens, contextTokens } = this.#options;
    const tooHigh = step.entries.find((entry) => entry.sequence >= sequences);
    if (tooHigh !== undefined) {
      throw new SkeinError('protocol-violation', `sequence ${tooHigh.sequence} is beyond the stage's ${sequences}`);
    }
    if (new Set(step.entries.map((entry) => entry.sequence)).size !== step.entries.length) {
      throw new SkeinError('protocol-violation', `step ${step.step} has two entries of one sequence`);
    }
    const mostRows = Math.min(batchTokens, contextTokens);
    if (rows > mostRows) throw new SkeinError('protocol-violation', `step ${step.step} has more than ${mostRows} rows`);
    const expected = takesHidden ? rows * hiddenSize * bytesPerElement : rows;
    const actual = 'hidden' in input ? input.hidden.byteLength : input.tokens.length;
    if ('hidden' in input !== takesHidden || actual !== expected) {
      throw new SkeinError(
        'protocol-violation',
        `step ${step.step} holds ${actual} where ${expected} are due for ${rows} rows`,
      );
    }
  }

  #decode(entries: readonly StepEntry[], input: StageInput, rows: number): void {
    const batch = this.#batch.fill(entries, input, this.#sampler === undefined ? 'all' : 'sampled');
    this.#hook?.expect(rows * this.#options.hiddenSize * bytesPerElement, 'hidden' in input ? input.hidden : undefined);
    const result = this.#library.decode(this.#context, batch);
    if (result === 1) throw new SkeinError('engine-failed', 'the KV cache is full; deploy with a larger context');
    if (result !== 0) throw new SkeinError('engine-failed', `llama_decode failed with ${result}`);
    this.#hook?.check();
  }

  #draw(entries: readonly StepEntry[], sampler: Sampler): { sequence: number; token: number }[] {
    const tokens: { sequence: number; token: number }[] = [];
    let row = -1;
    for (const { sequence, position, count, sample } of entries) {
      row += count;
      if (!sample) continue;
      const sampling = this.#sampling.get(sequence) ?? greedy;
      tokens.push({ sequence, token: sampler.draw(row, position + count, sampling) });
    }
    return tokens;
  }
}
