import {
  SkeinError,
  type CacheOperation,
  type CacheType,
  type MetadataOverride,
  type PlannedSpec,
  type RopeScaling,
  type Sampled,
  type Step,
  type StepEntry,
} from '@skein/protocol';

import { enumerators } from '../libllama/c-headers.ts';
import type {
  Batch,
  ContextPointer,
  DevicePointer,
  Libllama,
  MemoryPointer,
  ModelPointer,
  Params,
} from '../libllama/libllama.ts';
import { draftTokens } from '../micro-batch-tuning.ts';
import { GraphHook } from './graph-hook.ts';
import { MicroBatch, type OutputRows } from './micro-batch.ts';
import type { CompiledGrammars } from './sampling/grammar/grammar.ts';
import { Sampler } from './sampling/sampler.ts';
import { SwapSpace } from './swap-space.ts';
import { Verification } from './verification.ts';

export interface StageOptions {
  /** Path of the stage file or of the whole model. */
  readonly file: string;
  /**
   * Whether rows come in as hidden states rather than as token ids: true for every stage of a split, including the
   * lead's.
   */
  readonly takesHidden: boolean;
  /** Name of the tensor with the hidden rows that leave the stage; absent on the tail, which samples instead. */
  readonly hiddenTensor?: string | undefined;
  /** Tensor to overwrite with the rows that come in; see {@link GraphHook}. */
  readonly inputTensor?: string | undefined;
  /** Grammars that this process has compiled. Default: none yet. */
  readonly grammars?: CompiledGrammars | undefined;
  /** Elements of one hidden row. */
  readonly hiddenSize: number;
  /** Size of the KV cache, in tokens, shared by all sequences. */
  readonly contextTokens: number;
  /** Storage of keys. Default `f16`. */
  readonly cacheType?: CacheType | undefined;
  /** Storage of values. Default: that of keys. */
  readonly valueCacheType?: CacheType | undefined;
  /** Whether layers that attend to a window keep that window alone, so that no sequence can be cut back. Default false. */
  readonly windowedCache?: boolean | undefined;
  /** Number of sequences that the cache tells apart: those that run and those that are kept. */
  readonly sequences: number;
  /** Tokens of sequences that may be kept outside the cache, in main memory. Default 0. */
  readonly swapTokens?: number;
  /** Largest micro-batch, in rows. */
  readonly batchTokens: number;
  readonly threads: number;
  /** The end of the stage that lies on GPUs. Default: none of it, and no GPU is touched. */
  readonly offload?: StageOffload | undefined;
  /** Whether to map the file into memory rather than read it. Default true. */
  readonly mapsWeights?: boolean;
  /** Whether to lock weights in main memory. Default false. */
  readonly locksMemory?: boolean | undefined;
  /** Values that replace those of the model's metadata. Default: none. */
  readonly overrides?: readonly MetadataOverride[] | undefined;
  /** Scaling of positions. Default: as the model says. */
  readonly positions?: PositionOptions | undefined;
}

/** The options of a deployment about positions. */
export type PositionOptions = Pick<
  PlannedSpec,
  | 'ropeScaling'
  | 'ropeScale'
  | 'ropeFrequencyBase'
  | 'yarnOriginalContext'
  | 'yarnExtrapolation'
  | 'yarnAttention'
  | 'yarnBetaSlow'
  | 'yarnBetaFast'
>;

/** The end of a stage that lies on GPUs. */
export interface StageOffload {
  readonly devices: readonly DevicePointer[];
  /** Number of parts on them: the output matrix is the first, the layers follow from the last. */
  readonly parts: number;
  /** Share of each GPU, as ratios: numbers of parts place exactly so many. */
  readonly shares: readonly number[];
  /** Whether each matrix is spread over all GPUs by its rows, in these shares. */
  readonly splitsRows: boolean;
  /** Number of the first layers whose experts stay in main memory. Default 0. */
  readonly expertLayers?: number;
}

export type StageInput = { tokens: Int32Array } | { hidden: Uint8Array };

/** Hidden rows for the next stage, or tokens drawn by the tail, in the order of the entries that asked for some. */
export type StageOutput = { hidden: Uint8Array } | { draws: Sampled['draws'] };

/** Sequences kept free for the swap space. */
const spareSequences = 1;
const bytesPerElement = 4;
/** Values of `ggml_type` for keys and values. */
const cacheTypes: Readonly<Record<CacheType, number>> = {
  f16: enumerators.GGML_TYPE_F16,
  q4_0: enumerators.GGML_TYPE_Q4_0,
  q5_1: enumerators.GGML_TYPE_Q5_1,
  q8_0: enumerators.GGML_TYPE_Q8_0,
  bf16: enumerators.GGML_TYPE_BF16,
};
/** Values of `llama_load_mode`. Without a lock, files are mapped where the devices can. */
const loadModes = {
  plain: { mapped: enumerators.LLAMA_LOAD_MODE_AUTO, read: enumerators.LLAMA_LOAD_MODE_NONE },
  locked: { mapped: enumerators.LLAMA_LOAD_MODE_MMAP_MLOCK, read: enumerators.LLAMA_LOAD_MODE_MLOCK },
};
/** Values of `llama_rope_scaling_type`. */
const ropeScalings: Readonly<Record<RopeScaling, number>> = {
  none: enumerators.LLAMA_ROPE_SCALING_TYPE_NONE,
  linear: enumerators.LLAMA_ROPE_SCALING_TYPE_LINEAR,
  yarn: enumerators.LLAMA_ROPE_SCALING_TYPE_YARN,
};
const isQuantized = (type: CacheType) => type.startsWith('q');

/**
 * A contiguous block of a model's layers with its KV cache: the whole model, or a stage of a split. It computes one
 * micro-batch at a time, on the thread that calls.
 */
export class Stage {
  readonly #library: Libllama;
  readonly #options: StageOptions;
  readonly #offload: OffloadArrays;
  readonly #model: ModelPointer;
  readonly #context: ContextPointer;
  readonly #memory: MemoryPointer;
  readonly #swapSpace: SwapSpace;
  readonly #batch: MicroBatch;
  readonly #hook: GraphHook | undefined;
  readonly #tail: { readonly sampler: Sampler; readonly verification: Verification } | undefined;
  #isDisposed = false;

  /**
   * Loads the model.
   *
   * @throws SkeinError `model-invalid` when llama.cpp refuses it, `engine-failed` when this machine can't load it
   */
  constructor(library: Libllama, options: StageOptions) {
    this.#library = library;
    this.#options = options;
    this.#offload = new OffloadArrays(library, options.offload);
    const isTail = options.hiddenTensor === undefined;
    const { overrides = [], locksMemory = false, mapsWeights = true } = options;
    const params = { ...library.modelDefaultParams(), ...this.#offload.params };
    const load_mode = loadModes[locksMemory ? 'locked' : 'plain'][mapsWeights ? 'mapped' : 'read'];
    const wishes = { overrides, hasAllKeys: isTail, locks: locksMemory };
    const model = library.loadModel(options.file, { ...params, load_mode }, wishes);
    this.#model = model;
    if (!isTail || options.inputTensor !== undefined) this.#hook = new GraphHook(library, options);
    // The tail un-embeds only rows that are drawn after: room for more would cost a vocabulary each.
    const outputs = isTail ? options.sequences + draftTokens : options.batchTokens;
    const { cacheType = 'f16', valueCacheType = cacheType } = options;
    const context = this.#newContext({
      ...library.contextDefaultParams(),
      ...positionParams(options.positions ?? {}),
      n_ctx: options.contextTokens,
      n_batch: options.batchTokens,
      n_ubatch: options.batchTokens,
      n_seq_max: options.sequences + (this.swaps ? spareSequences : 0),
      n_outputs_max: outputs,
      n_outputs_max_per_seq: isTail ? draftTokens + 1 : options.batchTokens,
      type_k: cacheTypes[cacheType],
      type_v: cacheTypes[valueCacheType],
      // Values can't be quantized without it.
      flash_attn_type: [cacheType, valueCacheType].some(isQuantized)
        ? enumerators.LLAMA_FLASH_ATTN_TYPE_ENABLED
        : enumerators.LLAMA_FLASH_ATTN_TYPE_AUTO,
      n_threads: options.threads,
      n_threads_batch: options.threads,
      // One decode then keeps its rows in order, which is what lets them cross to the next stage as they are.
      kv_unified: true,
      // With a cache of just the window, sequences can't be cut back and replayed at any position.
      swa_full: options.windowedCache !== true,
      // Without a GPU of the model's own, llama.cpp would have any other compute large micro-batches.
      op_offload: options.offload !== undefined,
      ...(this.#hook === undefined ? {} : { cb_eval: this.#hook.callback }),
    });
    this.#context = context;
    this.#memory = library.memory(context);
    this.#swapSpace = new SwapSpace({
      library,
      context,
      tokens: options.swapTokens ?? 0,
      spareSequence: options.sequences,
    });
    this.#batch = new MicroBatch(library, options.batchTokens);
    if (isTail) {
      const sampler = new Sampler(library, model, context, options.grammars);
      this.#tail = { sampler, verification: new Verification(sampler) };
    }
  }

  /**
   * Whether a sequence can be cut back to any position. False for models that remember in a state instead of in cells,
   * as recurrent ones do, and with a windowed cache.
   */
  get rewinds(): boolean {
    if (this.#options.windowedCache === true) return false;
    return !this.#library.modelIsRecurrent(this.#model) && !this.#library.modelIsHybrid(this.#model);
  }

  /**
   * Whether a sequence can be swapped out, and cut back to any position when it comes back. False where layers attend
   * to a window only: llama.cpp then writes only the last window.
   */
  get swaps(): boolean {
    return this.rewinds && this.#library.modelWindow(this.#model) === 0;
  }

  get model(): ModelPointer {
    return this.#model;
  }

  /**
   * Applies a step's cache operations, then computes its rows.
   *
   * @throws SkeinError `protocol-violation` for a step that does not fit this stage, `engine-failed` when llama.cpp
   * fails; the KV cache of the step's sequences is then undefined until they are removed
   */
  run(step: Step, input: StageInput): StageOutput {
    // llama.cpp would not notice that its memory is gone.
    if (this.#isDisposed) throw new SkeinError('engine-failed', 'the stage has been unloaded');
    const rows = rowsOf(step.entries);
    const failures = this.#applyAll(step.operations);
    if (failures.length > 0) throw failures[0];
    this.#checkInput(step, input, rows);
    if (this.#tail !== undefined) return { draws: this.#decodeAndDraw(step.entries, input, this.#tail) };
    if (rows > 0) this.#decode(step.entries, input, { rows, outputs: 'all' });
    return { hidden: rows > 0 && this.#hook !== undefined ? this.#hook.take() : new Uint8Array(0) };
  }

  /**
   * Applies the operations of a step that has failed, here or on another stage, as far as they can be applied: the
   * stages' caches stay alike.
   */
  runFailed({ operations }: Pick<Step, 'operations'>): void {
    if (!this.#isDisposed) this.#applyAll(operations);
  }

  /**
   * Returns the logits of a row of the last step, for conformance tests. Tail only.
   *
   * @throws SkeinError `engine-failed` when the row has none
   */
  logits(row: number): Float32Array {
    const pointer = this.#library.logits(this.#context, row);
    if (pointer === null) throw new SkeinError('engine-failed', `row ${row} has no logits`);
    return this.#library.readFloats(pointer, this.#library.vocabSize(this.#library.modelVocab(this.#model)));
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#tail?.sampler[Symbol.dispose]();
    this.#library.contextFree(this.#context);
    this.#library.modelFree(this.#model);
  }

  /** Makes the context; frees the model when llama.cpp refuses. */
  #newContext(params: Params): ContextPointer {
    try {
      return this.#library.makeContext(this.#model, params);
    } catch (error) {
      this.#library.modelFree(this.#model);
      throw error;
    }
  }

  /** Applies every operation, so that the stages' caches stay alike. Returns the errors of those that can't be applied. */
  #applyAll(operations: readonly CacheOperation[]): readonly unknown[] {
    const failures: unknown[] = [];
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  #apply(operation: CacheOperation): void {
    if (operation.type === 'swap-discard') {
      this.#swapSpace.discard(operation.place);
      return;
    }
    this.#checkSequence(operation.sequence);
    switch (operation.type) {
      case 'swap-out':
        this.#swapSpace.swapOut(operation.sequence, operation.place, operation);
        break;
      case 'swap-in':
        this.#swapSpace.swapIn(operation.place, operation.sequence, operation.before);
        break;
      case 'remove':
        this.#library.memoryRemove(this.#memory, operation.sequence, operation.from, -1);
        break;
      case 'copy':
        this.#checkSequence(operation.to);
        // llama.cpp aborts when a cell is given to a sequence that has it.
        this.#library.memoryRemove(this.#memory, operation.to, 0, -1);
        this.#library.memoryCopy(this.#memory, operation.sequence, operation.to, 0, operation.before);
        break;
      case 'sample-with':
        this.#tail?.verification.forget(operation.sequence);
        this.#tail?.sampler.configure(operation);
        break;
    }
  }

  #checkInput(step: Step, input: StageInput, rows: number): void {
    const { hiddenSize, takesHidden, batchTokens, contextTokens } = this.#options;
    for (const { sequence, count, draft = [] } of step.entries) {
      this.#checkSequence(sequence);
      if (draft.length > count) {
        throw new SkeinError('protocol-violation', `step ${step.step} has more draft tokens than rows`);
      }
    }
    const drafts = step.entries.reduce((sum, { draft = [] }) => sum + draft.length, 0);
    if (drafts > draftTokens) {
      throw new SkeinError('protocol-violation', `step ${step.step} has more than ${draftTokens} draft tokens`);
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

  #checkSequence(sequence: number): void {
    const { sequences } = this.#options;
    if (sequence < sequences) return;
    throw new SkeinError('protocol-violation', `sequence ${sequence} is beyond the stage's ${sequences}`);
  }

  /**
   * Decodes the entries and draws their tokens. Nothing will ever ask for rows behind a draft token that is known to have
   * fallen. They are computed all the same, without output: each takes a cell, as on every other stage, so that the lead
   * knows on all of them which cell the next row gets.
   */
  #decodeAndDraw(
    entries: readonly StepEntry[],
    input: StageInput,
    { verification }: { readonly verification: Verification },
  ): Sampled['draws'] {
    const standing = new Set(entries.filter((entry) => verification.stands(entry)));
    const rows = rowsOf(entries);
    if (rows > 0) this.#decode(entries, input, { rows, outputs: standing });
    const draws: Sampled['draws'] = [];
    let row = 0;
    for (const entry of entries) {
      if (entry.sample) {
        draws.push(standing.has(entry) ? verification.draw(entry, row) : { sequence: entry.sequence, tokens: [] });
      }
      row += entry.count;
    }
    return draws;
  }

  #decode(
    entries: readonly StepEntry[],
    input: StageInput,
    { rows, outputs }: { readonly rows: number; readonly outputs: OutputRows },
  ): void {
    const batch = this.#batch.fill(entries, input, outputs);
    const hook = this.#hook;
    hook?.expect({
      rows,
      bytes: rows * this.#options.hiddenSize * bytesPerElement,
      input: 'hidden' in input ? input.hidden : undefined,
    });
    this.#compute(batch);
    if (hook?.hasMissed === true) {
      for (const entry of entries) this.#undo(entry);
      hook.expectAgain();
      this.#compute(batch);
    }
    hook?.check();
  }

  /** Removes the cells of an entry's rows, which were the last of its sequence. */
  #undo({ sequence, position }: StepEntry): void {
    if (this.#library.memoryRemove(this.#memory, sequence, position, -1)) return;
    throw new SkeinError('engine-failed', `the rows of sequence ${sequence} can not be computed again`);
  }

  #compute(batch: Batch): void {
    const result = this.#library.decode(this.#context, batch);
    if (result === 1) throw new SkeinError('engine-failed', 'the KV cache is full; deploy with a larger context');
    if (result !== 0) throw new SkeinError('engine-failed', `llama_decode failed with ${result}`);
    // A GPU computes on after the call. Then rows that nobody reads would cost nothing by the clock, and the next step would
    // change the cache under them.
    this.#library.synchronize(this.#context);
  }
}

/** Returns the parameters of a context for the positions; those that are left out keep the model's values. */
function positionParams(positions: PositionOptions): Params {
  const { ropeScaling, ropeScale, ropeFrequencyBase, yarnOriginalContext } = positions;
  const { yarnExtrapolation, yarnAttention, yarnBetaSlow, yarnBetaFast } = positions;
  return {
    ...(ropeScaling !== undefined && { rope_scaling_type: ropeScalings[ropeScaling] }),
    ...(ropeScale !== undefined && { rope_freq_scale: 1 / ropeScale }),
    ...(ropeFrequencyBase !== undefined && { rope_freq_base: ropeFrequencyBase }),
    ...(yarnOriginalContext !== undefined && { yarn_orig_ctx: yarnOriginalContext }),
    ...(yarnExtrapolation !== undefined && { yarn_ext_factor: yarnExtrapolation }),
    ...(yarnAttention !== undefined && { yarn_attn_factor: yarnAttention }),
    ...(yarnBetaSlow !== undefined && { yarn_beta_slow: yarnBetaSlow }),
    ...(yarnBetaFast !== undefined && { yarn_beta_fast: yarnBetaFast }),
  };
}

/** The offload of a model in memory that llama.cpp reads. The model's owner keeps it as long as the model. */
class OffloadArrays {
  /** Ends with null. A list of nothing but that keeps llama.cpp from choosing GPUs itself. */
  readonly #devices: BigUint64Array;
  readonly #shares: Float32Array;
  /** The pattern of the experts' names, and a list of one override and the end. */
  readonly #pattern: Uint8Array;
  readonly #overrides: BigUint64Array;
  readonly params: Params;

  constructor(library: Libllama, offload: StageOffload | undefined) {
    this.#devices = BigUint64Array.from([...(offload?.devices ?? []), 0n]);
    this.#shares = new Float32Array(library.maxDevices());
    this.#shares.set(offload?.shares ?? []);
    const { expertLayers = 0 } = offload ?? {};
    const layers = Array.from({ length: expertLayers }, (_, layer) => layer).join('|');
    this.#pattern = new TextEncoder().encode(`^blk\\.(${layers})\\.ffn_(up|down|gate|gate_up)_(ch|)exps\0`);
    this.#overrides = BigUint64Array.from([library.addressOf(this.#pattern), library.cpuBufferType(), 0n, 0n]);
    this.params = {
      ...(expertLayers > 0 && { tensor_buft_overrides: library.addressOf(this.#overrides) }),
      devices: library.addressOf(this.#devices),
      tensor_split: library.addressOf(this.#shares),
      n_gpu_layers: offload?.parts ?? 0,
      split_mode: offload?.splitsRows === true ? enumerators.LLAMA_SPLIT_MODE_ROW : enumerators.LLAMA_SPLIT_MODE_LAYER,
    };
  }
}

function rowsOf(entries: readonly StepEntry[]): number {
  return entries.reduce((sum, entry) => sum + entry.count, 0);
}
