import { check, expertCountsSchema, modelShapeSchema, SkeinError, type ModelShape } from '@skein/protocol';
import type { z } from 'zod';

import type { GgufLayout } from '../gguf/index.ts';
import { slidingWindowOf, splitRule } from './architectures.ts';
import { whyItDoesNotGenerate } from './generates.ts';
import {
  architectureNumber,
  architectureOf,
  greatestArchitectureNumber,
  metadataView,
  type MetadataView,
} from './metadata-view.ts';

const shapeNumbersSchema = modelShapeSchema.omit({ split: true, slidingWindow: true, experts: true });
/** Bytes of an element of keys and values in the KV cache: f16. */
const cacheElementBytes = 2;

/**
 * Describes a model by its metadata.
 *
 * @throws SkeinError `model-invalid` when it is no language model, one of several parts, or beyond the bounds
 */
export function modelShape(layout: GgufLayout): ModelShape {
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
  const slidingWindow = slidingWindowOf(metadata);
  const experts = expertCounts(metadata);
  return {
    ...numbers,
    split: splitRule(metadata),
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
    ...(experts === undefined ? {} : { experts }),
  };
}

/** Returns the counts of a mixture's experts; undefined where there are none, or the file does not say. */
function expertCounts(metadata: MetadataView): ModelShape['experts'] {
  const count = architectureNumber(metadata, 'expert_count');
  const used = architectureNumber(metadata, 'expert_used_count');
  const checked = check(expertCountsSchema, { count, used });
  return checked.ok ? checked.data : undefined;
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

/**
 * Checks a description against a schema of the protocol.
 *
 * @throws SkeinError `model-invalid` when the model is beyond the schema's bounds
 */
export function accepted<Schema extends z.ZodType>(schema: Schema, description: z.input<Schema>): z.output<Schema> {
  const checked = check(schema, description);
  if (checked.ok) return checked.data;
  throw new SkeinError('model-invalid', `the model is beyond what Skein takes: ${checked.problem}`, {
    cause: checked.cause,
  });
}
