import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';

const byteCount = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const sectionName = z.string().min(1).max(limits.maxNameLength);

/**
 * One key of a GGUF's metadata, as the byte range it occupies in the file.
 * The range covers the whole entry (key string, value type, value), so it can be copied verbatim.
 */
export const metadataSectionSchema = z.object({
  kind: z.literal('metadata'),
  name: sectionName,
  /** Bytes from the start of the GGUF. */
  offset: byteCount,
  bytes: byteCount,
  sha256: sha256Schema,
});

/** One tensor of a GGUF: its data's byte range, without padding, and what a tensor-info record needs. */
export const tensorSectionSchema = z.object({
  kind: z.literal('tensor'),
  name: sectionName,
  /** Bytes from the start of the GGUF (not from the start of its data section). */
  offset: byteCount,
  bytes: byteCount,
  sha256: sha256Schema,
  /** ggml type number. */
  type: z.number().int().nonnegative().max(255),
  /** Elements per dimension, fastest-varying first (ggml's `ne`). */
  shape: arraySchema(byteCount, { least: 1, most: 4 }),
});

export const sectionSchema = z.discriminatedUnion('kind', [metadataSectionSchema, tensorSectionSchema]);

/** The rule for cutting an architecture between layers. Cut points are multiples of `multiple`. */
export const splitRuleSchema = z.discriminatedUnion('allowed', [
  z.object({ allowed: z.literal(true), multiple: z.number().int().positive().max(limits.maxLayers) }),
  z.object({ allowed: z.literal(false), reason: z.string().max(limits.maxMessageLength) }),
]);

/** The layers of a model that attend to the last few tokens only. */
export const slidingWindowSchema = z.object({
  /** Tokens that such a layer attends to. */
  tokens: z.number().int().positive(),
  /** Number of layers after which the pattern begins anew; the last of them attends to all tokens. 0: none does. */
  period: z.number().int().nonnegative().max(limits.maxLayers),
});

/** The experts of a layer of a mixture of experts. */
export const expertCountsSchema = z
  .object({
    count: z.number().int().positive().max(65_536),
    /** Number of them that one token passes through. */
    used: z.number().int().positive().max(65_536),
  })
  .refine(({ count, used }) => used <= count, 'must use no more experts than there are');

/** Numbers of a model that planning needs. */
export const modelShapeSchema = z.object({
  /** GGUF's `general.architecture`, e.g. `llama`. */
  architecture: z.string().min(1).max(64),
  layers: z.number().int().positive().max(limits.maxLayers),
  /** Width of the hidden state that crosses from stage to stage, in elements. */
  hiddenSize: z.number().int().positive().max(limits.maxHiddenSize),
  vocabularySize: z.number().int().positive().max(limits.maxVocabularySize),
  /** Tokens the model was trained for. */
  contextLength: z.number().int().positive(),
  /** Bytes that one token's keys and values take in one layer of an f16 KV cache. */
  kvBytesPerTokenPerLayer: z.number().int().nonnegative(),
  split: splitRuleSchema,
  /** Left out where no layer has one, where this is not known, and by earlier versions. */
  slidingWindow: slidingWindowSchema.optional(),
  /** Left out where there are none, and by earlier versions. */
  experts: expertCountsSchema.optional(),
});

/**
 * The sections of a model with their hashes, so that a peer can fetch just the sections of its stage from any holder
 * and check each one. The peer that pulls the model computes it once.
 */
export const modelManifestSchema = z.object({
  /** SHA-256 of the whole GGUF, which is the model's id. */
  model: sha256Schema,
  /** Size of the whole GGUF. */
  bytes: byteCount,
  /** Name for people, e.g. the catalog's or the file's. */
  name: z.string().min(1).max(limits.maxNameLength),
  shape: modelShapeSchema,
  sections: arraySchema(sectionSchema, { least: 1, most: limits.maxSections }),
});

export type MetadataSection = z.infer<typeof metadataSectionSchema>;
export type TensorSection = z.infer<typeof tensorSectionSchema>;
export type Section = z.infer<typeof sectionSchema>;
export type SplitRule = z.infer<typeof splitRuleSchema>;
export type ModelShape = z.infer<typeof modelShapeSchema>;
export type ModelManifest = z.infer<typeof modelManifestSchema>;
