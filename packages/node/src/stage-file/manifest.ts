import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

import {
  check,
  modelManifestSchema,
  modelShapeSchema,
  SkeinError,
  type ModelManifest,
  type ModelShape,
  type Section,
} from '@skein/protocol';
import type { z } from 'zod';

import { openFileSource, readGgufLayout, type GgufLayout } from '../gguf/index.ts';
import { splitRule } from './architectures.ts';
import { RunningCheck, type ContentCheck } from './content-check.ts';
import { whyItDoesNotGenerate } from './generates.ts';
import {
  architectureNumber,
  architectureOf,
  greatestArchitectureNumber,
  metadataView,
  type MetadataView,
} from './metadata-view.ts';
import type { Progress } from './progress.ts';

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;
const shapeNumbersSchema = modelShapeSchema.omit({ split: true });
/** Bytes of an element of keys and values in the KV cache: f16. */
const cacheElementBytes = 2;

/**
 * Describes a GGUF: its id, its shape and its sections with their hashes. After the header is parsed the file is read
 * once, front to back, and hashed as a whole and by section at the same time; memory stays at a few megabytes.
 *
 * @throws SkeinError `model-invalid` when the file is damaged, no language model, or one of several parts;
 * `hash-mismatch` when a check fails
 */
export async function createManifest(options: {
  readonly file: string;
  /** Human name of the model. */
  readonly name: string;
  /** Hashes that pieces of the file must have. Default: none. */
  readonly checks?: readonly ContentCheck[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}): Promise<{ manifest: ModelManifest }> {
  const { file, name, checks = [], signal, onProgress } = options;
  await using source = await openFileSource(file);
  const layout = await readGgufLayout(source);
  const shape = modelShape(layout);
  const { model, sections } = await hashSections(file, sectionRanges(layout), {
    totalBytes: source.bytes,
    checks: checks.map((check) => new RunningCheck(check)),
    signal,
    onProgress,
  });
  return { manifest: accepted(modelManifestSchema, { model, bytes: source.bytes, name, shape, sections }) };
}

/**
 * Checks a description against a schema of the protocol.
 *
 * @throws SkeinError `model-invalid` when the model is beyond the schema's bounds
 */
function accepted<Schema extends z.ZodType>(schema: Schema, description: z.input<Schema>): z.output<Schema> {
  const checked = check(schema, description);
  if (checked.ok) return checked.data;
  throw new SkeinError('model-invalid', `the model is beyond what Skein takes: ${checked.problem}`, {
    cause: checked.cause,
  });
}

type SectionRange = Section extends infer Kind ? (Kind extends Section ? Omit<Kind, 'sha256'> : never) : never;

/** Lists all sections of a file, in file order. */
function sectionRanges({ metadata, tensors }: GgufLayout): SectionRange[] {
  return [
    ...[...metadata.values()].map(({ name, offset, bytes }) => ({ kind: 'metadata' as const, name, offset, bytes })),
    ...[...tensors.values()].map(({ shape, ...tensor }) => ({ kind: 'tensor' as const, ...tensor, shape: [...shape] })),
  ];
}

async function hashSections(
  file: string,
  ranges: readonly SectionRange[],
  options: {
    totalBytes: number;
    checks: readonly RunningCheck[];
    signal: AbortSignal | undefined;
    onProgress: ((progress: Progress) => void) | undefined;
  },
) {
  const { totalBytes, checks, signal, onProgress } = options;
  const whole = createHash('sha256');
  const sections: (SectionRange & { sha256: string })[] = [];
  let sectionHash = createHash('sha256');
  let offset = 0;
  // Ranges are in file order and do not overlap, so the current one is always the first that is not finished.
  const advance = (chunk: Uint8Array) => {
    for (let range = ranges[sections.length]; range !== undefined; range = ranges[sections.length]) {
      const end = range.offset + range.bytes;
      sectionHash.update(chunk.subarray(Math.max(0, range.offset - offset), Math.max(0, end - offset)));
      if (end > offset + chunk.byteLength) return;
      sections.push({ ...range, sha256: sectionHash.digest('hex') });
      sectionHash = createHash('sha256');
    }
  };
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes, signal })) {
    const bytes = chunk as Buffer;
    whole.update(bytes);
    advance(bytes);
    for (const check of checks) check.update(bytes, offset);
    offset += bytes.byteLength;
    onProgress?.({ bytes: offset, totalBytes });
  }
  if (offset !== totalBytes || sections.length !== ranges.length) {
    throw new SkeinError('model-invalid', `${file} changed while it was read; try again when nothing writes to it`);
  }
  return { model: whole.digest('hex'), sections };
}

function modelShape(layout: GgufLayout): ModelShape {
  const metadata = metadataView(layout);
  const architecture = architectureOf(metadata);
  if (architecture === '') throw notLanguageModel('it has no general.architecture');
  const reason = whyItDoesNotGenerate(metadata);
  if (reason !== undefined) {
    throw new SkeinError('model-invalid', `the model ${reason}; choose a model that writes text`);
  }
  const parts = metadata.get('split.count');
  if (typeof parts === 'number' && parts > 1) {
    throw new SkeinError(
      'model-invalid',
      `the file is one of ${parts} parts of a model; give the parts names that end in -00001-of-${String(parts).padStart(5, '0')}.gguf and so on, and pull the first`,
    );
  }
  const tokens = layout.tensors.get('token_embd.weight');
  if (tokens === undefined) throw notLanguageModel('it has no token_embd.weight');
  // The numbers first: the rule is made from them.
  const numbers = accepted(shapeNumbersSchema, {
    architecture,
    layers: required(metadata, 'block_count'),
    hiddenSize: required(metadata, 'embedding_length'),
    vocabularySize: tokens.shape[1] ?? 1,
    contextLength: required(metadata, 'context_length'),
    kvBytesPerTokenPerLayer: cacheBytesPerToken(metadata),
  });
  return { ...numbers, split: splitRule(metadata) };
}

/** Returns the bytes of one token in one layer of the cache; where layers differ, in the widest. */
function cacheBytesPerToken(metadata: MetadataView): number {
  const heads = greatestArchitectureNumber(metadata, 'attention.head_count') ?? 0;
  // Models without attention keep no keys and values.
  if (heads === 0) return 0;
  const cachedHeads = greatestArchitectureNumber(metadata, 'attention.head_count_kv') ?? heads;
  const headSize = Math.trunc(required(metadata, 'embedding_length') / heads);
  const keyLength = greatestArchitectureNumber(metadata, 'attention.key_length') ?? headSize;
  const valueLength = greatestArchitectureNumber(metadata, 'attention.value_length') ?? headSize;
  return cachedHeads * (keyLength + valueLength) * cacheElementBytes;
}

function required(metadata: MetadataView, suffix: string): number {
  const value = architectureNumber(metadata, suffix);
  if (value === undefined) throw notLanguageModel(`it has no ${architectureOf(metadata)}.${suffix}`);
  return value;
}

function notLanguageModel(reason: string): SkeinError {
  return new SkeinError('model-invalid', `the file is not a language model: ${reason}; choose another GGUF`);
}
