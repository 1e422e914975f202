import type { ModelShape, SplitRule } from '@skein/protocol';

import { architectureNumber, architectureOf, type MetadataView } from './metadata-view.ts';

/** Facts with which an architecture of llama.cpp runs in stages, with results equal to the whole model's bit for bit. */
export interface SplitArchitecture {
  /** GGUF's `general.architecture`. */
  readonly name: string;
  /**
   * Name of the graph's tensor that leaves a layer, which is called `<hiddenTensor>-<layer>`. Every stage but the tail
   * taps that of its last layer.
   */
  readonly hiddenTensor: string;
  /**
   * Name of the scaled tensor, where the graph multiplies its input, tokens and hidden states alike, with no key to
   * stop it. The engine has to replace the tensor's content by the rows that came in, in the evaluation callback, on
   * every stage.
   */
  readonly inputTensor?: string;
  /**
   * Returns the factor by which the lead multiplies looked-up token rows, in f32, to get the hidden state that enters
   * layer 0.
   */
  tokenScale(metadata: MetadataView): number;
  /** Keys, without the architecture's prefix, that may hold one value per layer; a stage gets its layers' part. */
  readonly perLayerKeys: readonly string[];
  /** Keys, without the prefix, with the value (float32) that they get in stages that are not the whole model. */
  readonly stageValues: Readonly<Record<string, number>>;
  /**
   * The pattern of layers that alternate between sliding-window and full attention; absent where none do. llama.cpp
   * counts the pattern's period from a file's layer 0, so cuts are multiples of the period.
   */
  readonly slidingWindow?: SlidingWindow;
  /** Returns the reason why this very model cannot be split, although its architecture can; undefined when it can. */
  readonly refusal?: (metadata: MetadataView) => string | undefined;
}

export interface SlidingWindow {
  /**
   * Period of the pattern, whose last layer attends fully, unless the metadata give another (llama.cpp's
   * `set_swa_pattern`).
   */
  readonly defaultPeriod: number;
  /** Whether the pattern counts only when the metadata give a window. */
  readonly needsWindowKey: boolean;
}

/** Keys that `llama_model_base::load_hparams` reads with `get_key_or_arr`, for every architecture. */
const commonPerLayerKeys = [
  'attention.head_count',
  'attention.head_count_kv',
  'feed_forward_length',
  'expert_used_count',
];

/** Suffix of the key with the period of the pattern of sliding windows, or with a list of flags, one per layer. */
export const windowPattern = 'attention.sliding_window_pattern';

const plain = {
  hiddenTensor: 'l_out',
  tokenScale: () => 1,
  perLayerKeys: commonPerLayerKeys,
  stageValues: {},
} as const;

/**
 * The architectures whose split is offered. An entry belongs here when its conformance test (whole model against 2 and
 * 3 stages, equal logits) passes. References are to llama.cpp's `src/models`, of the version that is bundled.
 */
const architectures: readonly SplitArchitecture[] = [
  // llama.cpp (Llama 1–3, Mistral, Mixtral): n_layer only names the size; rope_freqs is a global tensor that every stage gets.
  { ...plain, name: 'llama' },
  // qwen2.cpp: n_layer only names the size; the optional output bias stays with the tail.
  { ...plain, name: 'qwen2' },
  // qwen3.cpp: as qwen2, with q and k norms inside the layers.
  { ...plain, name: 'qwen3' },
  // qwen3moe.cpp: expert_feed_forward_length is read with get_key_or_arr.
  { ...plain, name: 'qwen3moe', perLayerKeys: [...commonPerLayerKeys, 'expert_feed_forward_length'] },
  // phi3.cpp: its sliding window is switched off in llama.cpp; long and short rope factors are global tensors, chosen by n_ctx,
  // so all stages must run with the same n_ctx.
  { ...plain, name: 'phi3' },
  // gemma2.cpp: `inp_scaled` is scaled by sqrt(n_embd) for any input; 46 layers switch the attention scale (27B).
  {
    ...plain,
    name: 'gemma2',
    inputTensor: 'inp_scaled',
    tokenScale: rootOfHiddenSize,
    perLayerKeys: [...commonPerLayerKeys, windowPattern],
    slidingWindow: { defaultPeriod: 2, needsWindowKey: false },
    refusal: (metadata) => refuseGemma27(metadata, 46),
  },
  // gemma3.cpp: scaled by sqrt(n_embd) for tokens only (`ubatch.token ? … : 1`); 62 layers switch the attention scale (27B).
  {
    ...plain,
    name: 'gemma3',
    tokenScale: rootOfHiddenSize,
    perLayerKeys: [...commonPerLayerKeys, windowPattern],
    slidingWindow: { defaultPeriod: 6, needsWindowKey: true },
    refusal: (metadata) => refuseGemma27(metadata, 62),
  },
  // openai-moe.cpp: n_layer only names the size.
  {
    ...plain,
    name: 'gpt-oss',
    perLayerKeys: [...commonPerLayerKeys, 'expert_feed_forward_length', windowPattern],
    slidingWindow: { defaultPeriod: 2, needsWindowKey: false },
  },
  // granite.cpp and build_inp_embd (llama-graph.cpp): embedding_scale is applied to hidden states that come in as well, so the
  // lead applies it and every stage gets 0, which llama.cpp takes for "none".
  {
    ...plain,
    name: 'granite',
    tokenScale: (metadata) => architectureNumber(metadata, 'embedding_scale') || 1,
    stageValues: { embedding_scale: 0 },
    refusal: (metadata) =>
      metadata.has('granite.deepstack_mapping') ? 'its vision input enters at several layers' : undefined,
  },
];

const byName = new Map(architectures.map((architecture) => [architecture.name, architecture]));

/** Returns the facts for splitting models of an architecture; undefined when they only run whole. */
export function splitArchitecture(name: string): SplitArchitecture | undefined {
  return byName.get(name);
}

/** Decides whether a model's layers may be cut, and returns the places of cuts or the reason against them. */
export function splitRule(metadata: MetadataView): SplitRule {
  const name = architectureOf(metadata);
  const architecture = byName.get(name);
  if (architecture === undefined) {
    return refuse(`models of architecture ${name} run whole: that their split gives equal results is not proved`);
  }
  const reason =
    architecture.refusal?.(metadata) ??
    refuseUnknown(metadata, architecture) ??
    refuseWindows(metadata, architecture.slidingWindow);
  if (reason !== undefined) return refuse(reason);
  // Period 0 stands for a window on every layer, which may be cut anywhere.
  return { allowed: true, multiple: slidingWindowPeriod(metadata, architecture) || 1 };
}

/**
 * Returns the number of layers after which a model's pattern of sliding windows begins anew, 0 when every layer has a
 * window; undefined when no layer of this model can have one.
 */
export function slidingWindowPeriod(metadata: MetadataView, { slidingWindow }: SplitArchitecture): number | undefined {
  if (slidingWindow === undefined) return undefined;
  if (slidingWindow.needsWindowKey && !architectureNumber(metadata, 'attention.sliding_window')) return undefined;
  return architectureNumber(metadata, windowPattern) ?? slidingWindow.defaultPeriod;
}

/** Returns the window of a model's layers; undefined where there is none, or the architecture is not one of the list. */
export function slidingWindowOf(metadata: MetadataView): ModelShape['slidingWindow'] {
  const architecture = byName.get(architectureOf(metadata));
  const period = architecture && slidingWindowPeriod(metadata, architecture);
  const tokens = architectureNumber(metadata, 'attention.sliding_window') ?? 0;
  return period === undefined || tokens === 0 ? undefined : { tokens, period };
}

function refuse(reason: string): SplitRule {
  return { allowed: false, reason };
}

/**
 * Refuses layers that predict further tokens, which are not part of the stack, and unknown lists, which might be per
 * layer.
 */
function refuseUnknown(metadata: MetadataView, architecture: SplitArchitecture): string | undefined {
  if (architectureNumber(metadata, 'nextn_predict_layers')) return 'it has layers that predict further tokens';
  const layers = architectureNumber(metadata, 'block_count');
  const known = new Set(architecture.perLayerKeys.map((suffix) => `${architecture.name}.${suffix}`));
  for (const [key, value] of metadata) {
    if (!Array.isArray(value) || !key.startsWith(`${architecture.name}.`)) continue;
    if (known.has(key) && value.length !== layers) return `its ${key} does not have one value per layer`;
    if (!known.has(key)) return `it has the list ${key}, of which this version does not know how to cut it`;
  }
  return undefined;
}

/**
 * Refuses windows that llama.cpp would place otherwise in a stage: it passes over a list of layers and takes the default
 * period. It also aborts (`GGML_ASSERT(hparams.is_swa_any())`) when no layer has a window; within a period the first
 * has one.
 */
function refuseWindows(metadata: MetadataView, slidingWindow: SlidingWindow | undefined): string | undefined {
  if (slidingWindow === undefined) return undefined;
  const layers = architectureNumber(metadata, 'block_count') ?? 0;
  const { defaultPeriod } = slidingWindow;
  const pattern = metadata.get(`${architectureOf(metadata)}.${windowPattern}`);
  if (pattern === undefined) return undefined;
  if (Array.isArray(pattern)) {
    const isDefault = pattern.every((flag, layer) => Boolean(flag) === layer % defaultPeriod < defaultPeriod - 1);
    return isDefault ? undefined : 'its list of layers with a sliding window is one that llama.cpp does not follow';
  }
  if (pattern === 1) return 'none of its layers has a sliding window';
  if (Number.isInteger(pattern) && Number(pattern) >= 0 && Number(pattern) <= layers) return undefined;
  return `its pattern of sliding windows does not repeat within ${layers} layers`;
}

/**
 * Refuses models that llama.cpp recognises as Gemma 27B by their number of layers. It scales their attention by n_embd
 * / n_head instead of the head size; a stage has fewer layers and would get the other scale. Where both are equal
 * nothing is lost.
 */
function refuseGemma27(metadata: MetadataView, layers: number): string | undefined {
  if (architectureNumber(metadata, 'block_count') !== layers) return undefined;
  const hiddenSize = architectureNumber(metadata, 'embedding_length') ?? 0;
  const heads = architectureNumber(metadata, 'attention.head_count') ?? 1;
  if (Math.trunc(hiddenSize / heads) === architectureNumber(metadata, 'attention.key_length')) return undefined;
  return `llama.cpp recognises the 27B model by its ${layers} layers and would scale a stage's attention wrongly`;
}

/** Returns `sqrtf(n_embd)`. */
function rootOfHiddenSize(metadata: MetadataView): number {
  return Math.fround(Math.sqrt(architectureNumber(metadata, 'embedding_length') ?? 1));
}
