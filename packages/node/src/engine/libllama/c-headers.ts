import { invariant } from '@skein/protocol';

/**
 * The SHA-256 of each header of llama.cpp and ggml from which this file's structs and enumerators are. A test compares
 * them, and the functions that `libllama.ts` calls, with the headers that node-llama-cpp bundles, and fails when one of
 * these has another hash: then somebody has to read what changed, since not all that matters can be compared.
 */
export const headers = {
  'include/llama.h': '3d1b18eda626c1b9ecf5bda0798e65b974a8f70f30d56726610633a980cb4160',
  'ggml/include/ggml.h': '34192eac913444df9dc1d23025a618448cdee1ee7d78597af4979d8edc77b695',
  'ggml/include/ggml-backend.h': '46d84cb998105f871240864fd0f55446939a2fe86c5c281afa63a010fb1f65a2',
  'ggml/include/gguf.h': 'e56714aab702e5ce62ee587a409643c08f7e93e8fbb77f48ef7cc85075f96fa4',
} as const;

/** The version that a library with these headers says it has. It carries no header whose hash could be compared. */
export const llamaVersion = '0.4.0-dev';

/** Fields of a struct in declaration order: C name and koffi type. */
export type StructLayout = readonly (readonly [field: string, type: string])[];

/** Unions with all of their members. The headers give them no names. */
export const unionLayouts = {
  llama_model_kv_override_value: [
    ['val_i64', 'int64'],
    ['val_f64', 'double'],
    ['val_bool', 'bool'],
    ['val_str', 'char[128]'],
  ],
} as const satisfies Record<string, StructLayout>;

/** Structs under their C names, with all of their fields. A union's field is called `value`. */
export const structLayouts = {
  llama_model_params: [
    ['devices', 'void *'],
    ['tensor_buft_overrides', 'void *'],
    ['n_gpu_layers', 'int32'],
    ['split_mode', 'int'],
    ['load_mode', 'int'],
    ['lazy_mode', 'int'],
    ['main_gpu', 'int32'],
    ['tensor_split', 'void *'],
    ['progress_callback', 'void *'],
    ['progress_callback_user_data', 'void *'],
    ['kv_overrides', 'void *'],
    ['vocab_only', 'bool'],
    ['check_tensors', 'bool'],
    ['use_extra_bufts', 'bool'],
    ['no_host', 'bool'],
    ['no_alloc', 'bool'],
    ['load_mtp', 'bool'],
  ],
  llama_context_params: [
    ['n_ctx', 'uint32'],
    ['n_batch', 'uint32'],
    ['n_ubatch', 'uint32'],
    ['n_seq_max', 'uint32'],
    ['n_rs_seq', 'uint32'],
    ['n_outputs_max', 'uint32'],
    ['n_outputs_max_per_seq', 'uint32'],
    ['n_threads', 'int32'],
    ['n_threads_batch', 'int32'],
    ['ctx_type', 'int'],
    ['rope_scaling_type', 'int'],
    ['pooling_type', 'int'],
    ['attention_type', 'int'],
    ['flash_attn_type', 'int'],
    ['rope_freq_base', 'float'],
    ['rope_freq_scale', 'float'],
    ['yarn_ext_factor', 'float'],
    ['yarn_attn_factor', 'float'],
    ['yarn_beta_fast', 'float'],
    ['yarn_beta_slow', 'float'],
    ['yarn_orig_ctx', 'uint32'],
    ['defrag_thold', 'float'],
    ['cb_eval', 'void *'],
    ['cb_eval_user_data', 'void *'],
    ['type_k', 'int'],
    ['type_v', 'int'],
    ['abort_callback', 'void *'],
    ['abort_callback_data', 'void *'],
    ['embeddings', 'bool'],
    ['offload_kqv', 'bool'],
    ['no_perf', 'bool'],
    ['op_offload', 'bool'],
    ['swa_full', 'bool'],
    ['kv_unified', 'bool'],
    ['samplers', 'void *'],
    ['n_samplers', 'size_t'],
    ['ctx_other', 'void *'],
  ],
  llama_model_kv_override: [
    ['tag', 'int'],
    ['key', 'char[128]'],
    ['value', 'llama_model_kv_override_value'],
  ],
  llama_model_tensor_buft_override: [
    ['pattern', 'void *'],
    ['buft', 'void *'],
  ],
  llama_batch: [
    ['n_tokens', 'int32'],
    ['token', 'void *'],
    ['embd', 'void *'],
    ['pos', 'void *'],
    ['n_seq_id', 'void *'],
    ['seq_id', 'void *'],
    ['logits', 'void *'],
  ],
  llama_sampler_chain_params: [['no_perf', 'bool']],
  llama_logit_bias: [
    ['token', 'int32'],
    ['bias', 'float'],
  ],
  llama_token_data: [
    ['id', 'int32'],
    ['logit', 'float'],
    ['p', 'float'],
  ],
  llama_token_data_array: [
    ['data', 'void *'],
    ['size', 'size_t'],
    ['selected', 'int64'],
    ['sorted', 'bool'],
  ],
  ggml_type_traits: [
    ['type_name', 'void *'],
    ['blck_size', 'int64'],
    ['blck_size_interleave', 'int64'],
    ['type_size', 'size_t'],
    ['is_quantized', 'bool'],
    ['to_float', 'void *'],
    ['from_float_ref', 'void *'],
  ],
} as const satisfies Record<string, StructLayout>;

const typeBytes: Readonly<Record<string, number>> = {
  bool: 1,
  float: 4,
  int: 4,
  int32: 4,
  uint32: 4,
  double: 8,
  int64: 8,
  size_t: 8,
  'void *': 8,
};
const unions: Readonly<Record<string, StructLayout>> = unionLayouts;

/** The room that a type takes in memory, in bytes. */
interface Room {
  readonly bytes: number;
  /** Number of which its address is a multiple. */
  readonly alignment: number;
}

function roomOf(type: string): Room {
  const characters = /^char\[(\d+)\]$/.exec(type)?.[1];
  if (characters !== undefined) return { bytes: Number(characters), alignment: 1 };
  const union = unions[type];
  if (union !== undefined) {
    const members = union.map(([, member]) => roomOf(member));
    const alignment = Math.max(...members.map((member) => member.alignment));
    return { bytes: aligned(Math.max(...members.map(({ bytes }) => bytes)), alignment), alignment };
  }
  const bytes = invariant(typeBytes[type], `the size of ${type} is known`);
  return { bytes, alignment: bytes };
}

function aligned(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

/** Returns the size of a struct in memory and the offset of each field, in bytes, on the 64-bit machines that we run on. */
export function memoryOf<Layout extends StructLayout>(
  layout: Layout,
): { readonly bytes: number; readonly offsets: Readonly<Record<Layout[number][0], number>> } {
  let end = 0;
  let alignment = 1;
  const offsets = layout.map(([field, type]) => {
    const room = roomOf(type);
    const offset = aligned(end, room.alignment);
    end = offset + room.bytes;
    alignment = Math.max(alignment, room.alignment);
    return [field, offset] as const;
  });
  return {
    bytes: aligned(end, alignment),
    offsets: Object.fromEntries(offsets) as Record<Layout[number][0], number>,
  };
}

/** Values of enums under their C names. */
export const enumerators = {
  LLAMA_FLASH_ATTN_TYPE_AUTO: -1,
  LLAMA_FLASH_ATTN_TYPE_ENABLED: 1,

  /** Maps the file into memory where the devices can. */
  LLAMA_LOAD_MODE_AUTO: -1,
  /** Reads the file. */
  LLAMA_LOAD_MODE_NONE: 0,
  /** Reads the file into memory that is locked. */
  LLAMA_LOAD_MODE_MLOCK: 2,
  LLAMA_LOAD_MODE_MMAP_MLOCK: 3,

  LLAMA_KV_OVERRIDE_TYPE_INT: 0,
  LLAMA_KV_OVERRIDE_TYPE_FLOAT: 1,
  LLAMA_KV_OVERRIDE_TYPE_BOOL: 2,
  LLAMA_KV_OVERRIDE_TYPE_STR: 3,

  LLAMA_ROPE_SCALING_TYPE_NONE: 0,
  LLAMA_ROPE_SCALING_TYPE_LINEAR: 1,
  LLAMA_ROPE_SCALING_TYPE_YARN: 2,

  LLAMA_SPLIT_MODE_LAYER: 1,
  LLAMA_SPLIT_MODE_ROW: 2,

  LLAMA_POOLING_TYPE_NONE: 0,
  LLAMA_POOLING_TYPE_RANK: 4,

  LLAMA_TOKEN_ATTR_UNKNOWN: 1 << 0,
  LLAMA_TOKEN_ATTR_CONTROL: 1 << 3,
  LLAMA_TOKEN_ATTR_USER_DEFINED: 1 << 4,
  LLAMA_TOKEN_ATTR_LSTRIP: 1 << 7,
  LLAMA_TOKEN_ATTR_RSTRIP: 1 << 8,

  /** A GPU with memory of its own. */
  GGML_BACKEND_DEVICE_TYPE_GPU: 1,
  /** A GPU that shares the CPU's memory. */
  GGML_BACKEND_DEVICE_TYPE_IGPU: 2,

  GGML_LOG_LEVEL_WARN: 3,
  GGML_LOG_LEVEL_ERROR: 4,

  GGML_TYPE_F16: 1,
  GGML_TYPE_Q4_0: 2,
  GGML_TYPE_Q5_1: 7,
  GGML_TYPE_Q8_0: 8,
  GGML_TYPE_BF16: 30,
} as const;
