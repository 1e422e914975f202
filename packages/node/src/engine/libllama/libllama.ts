import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { SkeinError } from '@skein/protocol';
import koffi from 'koffi';

import { enumerators, llamaVersion, memoryOf, structLayouts, unionLayouts } from './c-headers.ts';
import { contextFailure, ErrorLog, loadFailure } from './load-failure.ts';
import { encodeOverrides, LoadNotes, type LoadWishes } from './load-wishes.ts';

/**
 * The C API of llama.cpp, called through koffi. All functions are declared here and nowhere else, all structs and
 * enumerators in `c-headers.ts`.
 *
 * Some files know more of that API than its functions, since they fill or read memory that it shares with us:
 * `stage/micro-batch.ts` (`llama_batch`), `stage/sampling/candidates.ts` (`llama_token_data_array`), `stage/graph-hook.ts`
 * (the tensors that a context shows while it computes), `libllama/load-wishes.ts` (`llama_model_kv_override`), and
 * `stage/stage.ts` (lists of devices).
 *
 * {@link loadLibllama} refuses any version at start-up but that of the headers, since a struct that has changed
 * underneath would corrupt memory rather than fail.
 */

/** A pointer of the C API. The brand keeps a context from being passed as a model. */
export type Pointer<Kind extends string> = bigint & { readonly pointee: Kind };
export type ModelPointer = Pointer<'llama_model'>;
export type ContextPointer = Pointer<'llama_context'>;
export type MemoryPointer = Pointer<'llama_memory'>;
export type VocabPointer = Pointer<'llama_vocab'>;
export type SamplerPointer = Pointer<'llama_sampler'>;
export type TensorPointer = Pointer<'ggml_tensor'>;
export type DevicePointer = Pointer<'ggml_backend_device'>;
export type CallbackPointer = Pointer<'callback'>;
type TypeTraitsPointer = Pointer<'ggml_type_traits'>;

/** Fields of a params struct as JavaScript values; those left out keep llama.cpp's defaults. */
export type Params = Record<string, number | bigint | boolean | null>;

/** Arguments of `llama_decode`: exactly one of `token` and `embd` is set. All arrays hold at least `n_tokens` entries. */
export interface Batch {
  n_tokens: number;
  token: Int32Array | null;
  embd: Uint8Array | null;
  pos: Int32Array;
  n_seq_id: Int32Array;
  /** Addresses of arrays of sequence ids. */
  seq_id: BigUint64Array;
  logits: Int8Array;
}

/**
 * A callback for `cb_eval`. With `ask`, llama.cpp asks whether the tensor is wanted. Otherwise the tensor has been
 * computed; return false to end the graph there.
 */
export type EvalCallback = (tensor: TensorPointer, ask: boolean) => boolean;

/** Values of `ggml_backend_dev_type` for GPUs: with memory of their own, and built into the CPU. */
const gpuDeviceTypes: ReadonlySet<number> = new Set([
  enumerators.GGML_BACKEND_DEVICE_TYPE_GPU,
  enumerators.GGML_BACKEND_DEVICE_TYPE_IGPU,
]);

/** A receiver of llama.cpp's log, with values of `ggml_log_level`. */
export type LogSink = (level: number, text: string) => void;

export type Libllama = ReturnType<typeof bind>;

let loaded: { directory: string; library: Libllama } | undefined;

export interface LoadOptions {
  /** Receiver of llama.cpp's log. Default: none, llama.cpp is silent. */
  readonly log?: LogSink | undefined;
  /** Directory of an older build of the GPU backend, loaded when the first one brings no GPU. Default: none. */
  readonly fallbackDirectory?: string | undefined;
}

/**
 * Loads llama.cpp's shared libraries and its compute backends from a directory of a node-llama-cpp platform package. A
 * process can load one directory, since the libraries keep global state.
 *
 * @throws SkeinError `engine-incompatible` when a library is missing, has another version, or another build is loaded
 * already
 */
export function loadLibllama(directory: string, options: LoadOptions = {}): Libllama {
  if (loaded !== undefined) {
    if (loaded.directory === directory) return loaded.library;
    throw new SkeinError('engine-incompatible', 'this process already runs another build of llama.cpp');
  }
  const library = bind(directory, options);
  loaded = { directory, library };
  return library;
}

function bind(directory: string, { log = () => undefined, fallbackDirectory }: LoadOptions) {
  const base = openLibrary(directory, 'ggml-base');
  const ggml = openLibrary(directory, 'ggml');
  const llama = openLibrary(directory, 'llama');

  const readVersion = llama.func('const char *llama_version()') as () => string;
  const version = readVersion();
  if (version !== llamaVersion) {
    throw new SkeinError(
      'engine-incompatible',
      `llama.cpp ${version} found where ${llamaVersion} is needed; run \`npm ci\` to install the pinned node-llama-cpp`,
    );
  }

  for (const [name, layout] of Object.entries(unionLayouts)) koffi.union(name, Object.fromEntries(layout));
  for (const [name, layout] of Object.entries(structLayouts)) koffi.struct(name, Object.fromEntries(layout));
  const evalCallback = koffi.proto('bool skein_eval_callback(void *tensor, bool ask, void *user_data)');
  const logCallback = koffi.proto('void skein_log_callback(int level, const char *text, void *user_data)');
  const toFloat = koffi.proto('void skein_to_float(const void *from, void *to, int64_t count)');

  const functions = {
    version: readVersion,
    loadBackends: ggml.func('void ggml_backend_load_all_from_path(const char *directory)') as (path: string) => void,
    /** Returns the type of buffers in main memory. */
    cpuBufferType: base.func('void *ggml_backend_cpu_buffer_type()') as () => bigint,
    deviceCount: ggml.func('size_t ggml_backend_dev_count()') as () => number,
    device: ggml.func('void *ggml_backend_dev_get(size_t index)') as (index: number) => DevicePointer,
    deviceType: base.func('int ggml_backend_dev_type(void *device)') as (device: DevicePointer) => number,
    deviceName: base.func('const char *ggml_backend_dev_name(void *device)') as (device: DevicePointer) => string,
    deviceDescription: base.func('const char *ggml_backend_dev_description(void *device)') as (
      device: DevicePointer,
    ) => string,
    deviceMemory: base.func('void ggml_backend_dev_memory(void *device, _Out_ size_t *free, _Out_ size_t *total)') as (
      device: DevicePointer,
      free: [number],
      total: [number],
    ) => void,
    tensorName: base.func('const char *ggml_get_name(void *tensor)') as (tensor: TensorPointer) => string,
    tensorBytes: base.func('size_t ggml_nbytes(void *tensor)') as (tensor: TensorPointer) => number,
    tensorGet: base.func('void ggml_backend_tensor_get(void *tensor, void *data, size_t offset, size_t size)') as (
      tensor: TensorPointer,
      data: Uint8Array,
      offset: number,
      bytes: number,
    ) => void,
    tensorSet: base.func(
      'void ggml_backend_tensor_set(void *tensor, const void *data, size_t offset, size_t size)',
    ) as (tensor: TensorPointer, data: Uint8Array, offset: number, bytes: number) => void,
    typeTraits: base.func('void *ggml_get_type_traits(int type)') as (type: number) => TypeTraitsPointer,

    backendInit: llama.func('void llama_backend_init()') as () => void,
    /** Returns the number of elements that llama.cpp reads of `tensor_split`. */
    maxDevices: llama.func('size_t llama_max_devices()') as () => number,
    logSet: llama.func('void llama_log_set(void *callback, void *user_data)') as (
      callback: CallbackPointer,
      userData: null,
    ) => void,
    modelDefaultParams: llama.func('llama_model_params llama_model_default_params()') as () => Params,
    contextDefaultParams: llama.func('llama_context_params llama_context_default_params()') as () => Params,
    /** Returns null when the model can't be loaded; `loadModel` says why. */
    modelLoadFromFile: llama.func('void *llama_model_load_from_file(const char *path, llama_model_params params)') as (
      path: string,
      params: Params,
    ) => ModelPointer | null,
    modelFree: llama.func('void llama_model_free(void *model)') as (model: ModelPointer) => void,
    modelVocab: llama.func('void *llama_model_get_vocab(void *model)') as (model: ModelPointer) => VocabPointer,
    modelIsRecurrent: llama.func('bool llama_model_is_recurrent(void *model)') as (model: ModelPointer) => boolean,
    modelIsHybrid: llama.func('bool llama_model_is_hybrid(void *model)') as (model: ModelPointer) => boolean,
    modelEmbeddingSize: llama.func('int32_t llama_model_n_embd(void *model)') as (model: ModelPointer) => number,
    modelWindow: llama.func('int32_t llama_model_n_swa(void *model)') as (model: ModelPointer) => number,
    modelChatTemplate: llama.func('const char *llama_model_chat_template(void *model, const char *name)') as (
      model: ModelPointer,
      name: string | null,
    ) => string | null,
    /** Returns null when the context can't be made; `makeContext` says why. */
    contextNew: llama.func('void *llama_init_from_model(void *model, llama_context_params params)') as (
      model: ModelPointer,
      params: Params,
    ) => ContextPointer | null,
    contextFree: llama.func('void llama_free(void *context)') as (context: ContextPointer) => void,
    contextSize: llama.func('uint32_t llama_n_ctx(void *context)') as (context: ContextPointer) => number,
    decode: llama.func('int32_t llama_decode(void *context, llama_batch batch)') as (
      context: ContextPointer,
      batch: Batch,
    ) => number,
    synchronize: llama.func('void llama_synchronize(void *context)') as (context: ContextPointer) => void,
    logits: llama.func('void *llama_get_logits_ith(void *context, int32_t row)') as (
      context: ContextPointer,
      row: number,
    ) => Pointer<'float'> | null,
    memory: llama.func('void *llama_get_memory(void *context)') as (context: ContextPointer) => MemoryPointer,
    memoryRemove: llama.func('bool llama_memory_seq_rm(void *memory, int32_t sequence, int32_t from, int32_t to)') as (
      memory: MemoryPointer,
      sequence: number,
      from: number,
      to: number,
    ) => boolean,

    memoryCopy: llama.func(
      'void llama_memory_seq_cp(void *memory, int32_t from_sequence, int32_t to_sequence, int32_t from, int32_t to)',
    ) as (memory: MemoryPointer, fromSequence: number, toSequence: number, from: number, to: number) => void,

    /** Returns -1 for a sequence without cells. */
    memoryLastPosition: llama.func('int32_t llama_memory_seq_pos_max(void *memory, int32_t sequence)') as (
      memory: MemoryPointer,
      sequence: number,
    ) => number,
    sequenceStateBytes: llama.func('size_t llama_state_seq_get_size(void *context, int32_t sequence)') as (
      context: ContextPointer,
      sequence: number,
    ) => number,
    /** Returns the number of bytes written, 0 when there is not enough room. */
    sequenceStateGet: llama.func(
      'size_t llama_state_seq_get_data(void *context, void *to, size_t bytes, int32_t sequence)',
    ) as (context: ContextPointer, to: Uint8Array, bytes: number, sequence: number) => number,
    /** Returns the number of bytes read, 0 when they do not fit in. */
    sequenceStateSet: llama.func(
      'size_t llama_state_seq_set_data(void *context, const void *from, size_t bytes, int32_t sequence)',
    ) as (context: ContextPointer, from: Uint8Array, bytes: number, sequence: number) => number,

    vocabSize: llama.func('int32_t llama_vocab_n_tokens(void *vocab)') as (vocab: VocabPointer) => number,
    vocabIsEndOfGeneration: llama.func('bool llama_vocab_is_eog(void *vocab, int32_t token)') as (
      vocab: VocabPointer,
      token: number,
    ) => boolean,
    vocabBos: llama.func('int32_t llama_vocab_bos(void *vocab)') as (vocab: VocabPointer) => number,
    vocabEos: llama.func('int32_t llama_vocab_eos(void *vocab)') as (vocab: VocabPointer) => number,
    vocabAddsBos: llama.func('bool llama_vocab_get_add_bos(void *vocab)') as (vocab: VocabPointer) => boolean,
    vocabAttributes: llama.func('int llama_vocab_get_attr(void *vocab, int32_t token)') as (
      vocab: VocabPointer,
      token: number,
    ) => number,
    /** Returns a token as the vocabulary stores it: of a control token, its text form. */
    vocabText: llama.func('const char *llama_vocab_get_text(void *vocab, int32_t token)') as (
      vocab: VocabPointer,
      token: number,
    ) => string,
    tokenize: llama.func(
      'int32_t llama_tokenize(void *vocab, const void *text, int32_t text_length, void *tokens, int32_t capacity, bool add_special, bool parse_special)',
    ) as (
      vocab: VocabPointer,
      text: Uint8Array,
      textBytes: number,
      tokens: Int32Array,
      capacity: number,
      addSpecial: boolean,
      parseSpecial: boolean,
    ) => number,
    tokenToPiece: llama.func(
      'int32_t llama_token_to_piece(void *vocab, int32_t token, void *buffer, int32_t length, int32_t lstrip, bool special)',
    ) as (
      vocab: VocabPointer,
      token: number,
      buffer: Uint8Array,
      capacity: number,
      lstrip: number,
      special: boolean,
    ) => number,

    samplerChainNew: llama.func('void *llama_sampler_chain_init(llama_sampler_chain_params params)') as (params: {
      no_perf: boolean;
    }) => SamplerPointer,
    samplerChainAdd: llama.func('void llama_sampler_chain_add(void *chain, void *sampler)') as (
      chain: SamplerPointer,
      sampler: SamplerPointer,
    ) => void,
    samplerGreedy: llama.func('void *llama_sampler_init_greedy()') as () => SamplerPointer,
    samplerTopK: llama.func('void *llama_sampler_init_top_k(int32_t k)') as (k: number) => SamplerPointer,
    samplerTopP: llama.func('void *llama_sampler_init_top_p(float p, size_t min_keep)') as (
      p: number,
      minKeep: number,
    ) => SamplerPointer,
    samplerMinP: llama.func('void *llama_sampler_init_min_p(float p, size_t min_keep)') as (
      p: number,
      minKeep: number,
    ) => SamplerPointer,
    samplerTemperature: llama.func('void *llama_sampler_init_temp(float t)') as (t: number) => SamplerPointer,
    samplerTypical: llama.func('void *llama_sampler_init_typical(float p, size_t min_keep)') as (
      p: number,
      minKeep: number,
    ) => SamplerPointer,
    samplerXtc: llama.func('void *llama_sampler_init_xtc(float p, float t, size_t min_keep, uint32_t seed)') as (
      probability: number,
      threshold: number,
      minKeep: number,
      seed: number,
    ) => SamplerPointer,
    samplerMirostat: llama.func(
      'void *llama_sampler_init_mirostat(int32_t n_vocab, uint32_t seed, float tau, float eta, int32_t m)',
    ) as (vocabularySize: number, seed: number, tau: number, eta: number, tokens: number) => SamplerPointer,
    samplerMirostat2: llama.func('void *llama_sampler_init_mirostat_v2(uint32_t seed, float tau, float eta)') as (
      seed: number,
      tau: number,
      eta: number,
    ) => SamplerPointer,
    samplerPenalties: llama.func(
      'void *llama_sampler_init_penalties(int32_t n_vocab, int32_t last_n, float repeat, float frequency, float presence)',
    ) as (
      vocabularySize: number,
      lastTokens: number,
      repeat: number,
      frequency: number,
      presence: number,
    ) => SamplerPointer,
    /**
     * Makes llama.cpp's grammar, for the test that compares ours with it. Never use it for a request: nothing bounds
     * its work, and it may end the process.
     */
    samplerGrammar: llama.func(
      'void *llama_sampler_init_grammar(void *vocab, const char *grammar, const char *root)',
    ) as (vocab: VocabPointer, grammar: string, root: string) => SamplerPointer | null,
    samplerAccept: llama.func('void llama_sampler_accept(void *sampler, int32_t token)') as (
      sampler: SamplerPointer,
      token: number,
    ) => void,
    /** Applies a sampler to `candidates`, a `llama_token_data_array`. */
    samplerApply: llama.func('void llama_sampler_apply(void *sampler, void *candidates)') as (
      sampler: SamplerPointer,
      candidates: Uint8Array,
    ) => void,
    samplerDistribution: llama.func('void *llama_sampler_init_dist(uint32_t seed)') as (seed: number) => SamplerPointer,
    samplerSample: llama.func('int32_t llama_sampler_sample(void *sampler, void *context, int32_t row)') as (
      sampler: SamplerPointer,
      context: ContextPointer,
      row: number,
    ) => number,
    /** Takes an array of `llama_logit_bias`. */
    samplerLogitBiasArray: llama.func(
      'void *llama_sampler_init_logit_bias(int32_t n_vocab, int32_t n_logit_bias, const void *logit_bias)',
    ) as (vocabularySize: number, count: number, biases: Uint8Array) => SamplerPointer,
    samplerFree: llama.func('void llama_sampler_free(void *sampler)') as (sampler: SamplerPointer) => void,
  };

  const errors = new ErrorLog();
  const notes = new LoadNotes();
  const sink: LogSink = (level, text) => {
    notes.add(text);
    if (level === enumerators.GGML_LOG_LEVEL_ERROR) errors.add(text);
    log(level, text);
  };
  functions.logSet(koffi.register(sink, koffi.pointer(logCallback)) as CallbackPointer, null);
  functions.loadBackends(directory);
  const hasGpu = (): boolean =>
    Array.from({ length: functions.deviceCount() }, (_, index) => functions.deviceType(functions.device(index))).some(
      (type) => gpuDeviceTypes.has(type),
    );
  const usesFallback = fallbackDirectory !== undefined && !hasGpu();
  // Like node-llama-cpp: its package for CUDA has a build for CUDA 13, and one for CUDA 12 and older cards.
  if (usesFallback) functions.loadBackends(fallbackDirectory);
  functions.backendInit();

  return {
    ...functions,

    /** Whether the GPU backend is the older build of the fallback directory. */
    usesFallback: usesFallback && hasGpu(),

    /**
     * Loads a model.
     *
     * @throws SkeinError `model-invalid` with llama.cpp's reason when it refuses the file, `engine-failed` when this machine
     *   can't load it, and the errors of {@link LoadNotes.check} for what it does not do of `wishes`
     */
    loadModel(path: string, params: Params, wishes: LoadWishes = {}): ModelPointer {
      errors.clear();
      notes.clear();
      const { overrides = [] } = wishes;
      const list = encodeOverrides(overrides);
      const all = overrides.length === 0 ? params : { ...params, kv_overrides: koffi.address(list) };
      const model = functions.modelLoadFromFile(path, all);
      if (model === null) throw loadFailure(errors.first, path);
      try {
        notes.check(wishes);
      } catch (error) {
        functions.modelFree(model);
        throw error;
      }
      return model;
    },

    /**
     * Makes a context of a model.
     *
     * @throws SkeinError `engine-failed` with llama.cpp's reason when it refuses; its detail `outOfMemory` tells whether
     *   memory ran out
     */
    makeContext(model: ModelPointer, params: Params): ContextPointer {
      errors.clear();
      const context = functions.contextNew(model, params);
      if (context === null) throw contextFailure(errors);
      return context;
    },

    /** Makes a callback for `cb_eval`. It lives as long as the process: contexts are as long-lived as engine processes. */
    evalCallback(callback: EvalCallback): CallbackPointer {
      return koffi.register(callback, koffi.pointer(evalCallback)) as CallbackPointer;
    },

    /** Makes a sampler that adds biases to the logits of tokens. */
    samplerLogitBias(vocabularySize: number, biases: readonly { token: number; bias: number }[]): SamplerPointer {
      const { bytes, offsets } = memoryOf(structLayouts.llama_logit_bias);
      const view = new DataView(new ArrayBuffer(biases.length * bytes));
      for (const [index, { token, bias }] of biases.entries()) {
        view.setInt32(index * bytes + offsets.token, token, true);
        view.setFloat32(index * bytes + offsets.bias, bias, true);
      }
      return functions.samplerLogitBiasArray(vocabularySize, biases.length, new Uint8Array(view.buffer));
    },

    /** Returns the address of a typed array's memory. The caller keeps the array alive. */
    addressOf(array: Int32Array | Float32Array | BigUint64Array | Uint8Array): bigint {
      return koffi.address(array);
    },

    /** Copies `count` floats from a pointer. */
    readFloats(pointer: Pointer<'float'>, count: number): Float32Array {
      return new Float32Array(koffi.view(pointer, count * 4)).slice();
    },

    /**
     * Returns ggml's conversion of a type's rows into f32. The same code runs inside a whole model's look-up of token
     * rows, so the values are equal bit for bit. `toFloats` is undefined for f32, which needs none.
     */
    dequantizer(type: number): { blockElements: number; blockBytes: number; toFloats: Dequantize | undefined } {
      const traits = koffi.decode(functions.typeTraits(type), 'ggml_type_traits') as {
        blck_size: number | bigint;
        type_size: number | bigint;
        to_float: bigint | null;
      };
      const convert = traits.to_float;
      return {
        blockElements: Number(traits.blck_size),
        blockBytes: Number(traits.type_size),
        // f32 has no conversion of its own.
        toFloats:
          convert === null || convert === 0n
            ? undefined
            : (from, to, elements) => {
                koffi.call(convert, toFloat, from, to, elements);
              },
      };
    },
  };
}

export type Dequantize = (from: Uint8Array, to: Float32Array, elements: number) => void;

/** Finds `libNAME.so`, `libNAME.<backend>.v<version>.so` and their macOS and Windows forms. */
function openLibrary(directory: string, name: string) {
  const pattern = new RegExp(String.raw`^(lib)?${name}(\.[a-z]+)?(\.v[\d.]+)?\.(so|dylib|dll)$`);
  let file: string | undefined;
  try {
    file = readdirSync(directory).find((entry) => pattern.test(entry));
  } catch (error) {
    throw new SkeinError('engine-incompatible', `no llama.cpp libraries at ${directory}; run \`npm ci\``, {
      cause: error,
    });
  }
  if (file === undefined) {
    throw new SkeinError('engine-incompatible', `${name} is missing from ${directory}; run \`npm ci\``);
  }
  // Global, because the backends that are loaded later resolve their symbols against these.
  return koffi.load(join(directory, file), { global: true });
}
