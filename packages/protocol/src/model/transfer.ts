import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';

/** A request to a holder for a model's manifest. The answer's payload is the encoded manifest. */
export const manifestRequestSchema = z.object({ type: z.literal('manifest-request'), model: sha256Schema });
export const manifestAnswerSchema = z.object({ type: z.literal('manifest') });

/** A request to a holder for byte ranges of a model, to be sent back to back. */
export const bytesRequestSchema = z.object({
  type: z.literal('bytes-request'),
  model: sha256Schema,
  ranges: arraySchema(z.object({ offset: z.number().int().nonnegative(), bytes: z.number().int().positive() }), {
    least: 1,
    most: limits.maxSections,
  }),
});
export type BytesRequest = z.infer<typeof bytesRequestSchema>;

/**
 * The answer to a request for bytes: `model-bytes` frames carry the data as payload; `bytes-end` says that all of it
 * was sent.
 */
export const bytesAnswerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('model-bytes') }),
  z.object({ type: z.literal('bytes-end') }),
]);
