import { SkeinError } from '@skein/protocol';

import { encodeArrayEntry, encodeEntry, type MetadataEntry, type Scalar } from '../gguf/index.ts';
import {
  slidingWindowPeriod,
  splitArchitecture,
  splitRule,
  windowPattern,
  type SplitArchitecture,
} from './architectures.ts';
import { architectureOf, metadataView, type MetadataView } from './metadata-view.ts';
import type { StageFilePlan } from './sections.ts';

/** A metadata entry as bytes, with its decoded form. */
export interface EncodedEntry {
  readonly entry: MetadataEntry;
  readonly content: Uint8Array;
}

/**
 * Makes a stage's metadata from the model's: rewrites `block_count`, values per layer and the keys that the
 * architecture demands, and keeps the rest. Whole models and fronts keep everything.
 */
export function rewriteMetadata(plan: StageFilePlan, entries: readonly EncodedEntry[]): readonly Uint8Array[] {
  if (plan.part === 'whole' || plan.part === 'front') return entries.map(({ content }) => content);
  const metadata = metadataView({ metadata: new Map(entries.map(({ entry }) => [entry.name, entry])) });
  const name = architectureOf(metadata);
  const architecture = splitArchitecture(name);
  if (architecture === undefined) {
    // The manifest came from a peer that knows more, or lies.
    throw new SkeinError('split-unsupported', `this peer cannot split models of architecture ${name}; update it`);
  }
  assertCut(plan, metadata);
  const replaced = replacements(plan, architecture, metadata);
  const kept = entries.filter(({ entry }) => !replaced.has(entry.name));
  return [...kept.map(({ content }) => content), ...replaced.values()];
}

/**
 * Checks a block against the model's own metadata: the manifest may be that of another version, whose llama.cpp could
 * cut elsewhere.
 */
function assertCut({ block, part }: StageFilePlan, metadata: MetadataView): void {
  const rule = splitRule(metadata);
  const cuts = part === 'tail' ? [block.from] : [block.from, block.to];
  if (rule.allowed && cuts.every((cut) => cut % rule.multiple === 0)) return;
  const reason = rule.allowed ? `it can be cut at multiples of ${rule.multiple} layers only` : rule.reason;
  throw new SkeinError(
    'split-unsupported',
    `this peer cannot split the model there: ${reason}; remove the model and pull it again`,
  );
}

function replacements(
  { block, part }: StageFilePlan,
  architecture: SplitArchitecture,
  metadata: MetadataView,
): ReadonlyMap<string, Uint8Array> {
  const replaced = new Map<string, Uint8Array>();
  const put = (key: string, content: Uint8Array) => replaced.set(key, content);
  const { from, to } = block;
  const layers = metadata.get(`${architecture.name}.block_count`);
  if (typeof layers !== 'number' || to > layers)
    throw new SkeinError('model-invalid', 'the model has no such layers; pull it again');

  const blockCount = `${architecture.name}.block_count`;
  put(blockCount, encodeEntry(blockCount, 'uint32', to - from));
  for (const suffix of architecture.perLayerKeys) {
    const key = `${architecture.name}.${suffix}`;
    const values = metadata.get(key);
    if (Array.isArray(values)) put(key, encodeLayerValues(key, values.slice(from, to)));
  }
  const period = slidingWindowPeriod(metadata, architecture);
  if (period !== undefined) {
    const key = `${architecture.name}.${windowPattern}`;
    put(key, encodeEntry(key, 'uint32', period));
  }
  for (const [suffix, value] of Object.entries(architecture.stageValues)) {
    const key = `${architecture.name}.${suffix}`;
    if (metadata.has(key)) put(key, encodeEntry(key, 'float32', value));
  }
  if (part === 'inner') {
    const vocabularySize = `${architecture.name}.vocab_size`;
    put(vocabularySize, encodeEntry(vocabularySize, 'uint32', 1));
    put('tokenizer.ggml.model', encodeEntry('tokenizer.ggml.model', 'string', 'none'));
  }
  return replaced;
}

/**
 * Encodes per-layer values. llama.cpp reads them as bool, int32, uint32 or float32; those of the known keys are flags
 * or counts.
 */
function encodeLayerValues(key: string, values: readonly Scalar[]): Uint8Array {
  const isFlags = values.every((value) => typeof value === 'boolean');
  return encodeArrayEntry(key, isFlags ? 'bool' : 'int32', values);
}
