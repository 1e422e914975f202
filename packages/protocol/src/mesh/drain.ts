import { z } from 'zod';

import { leaseSchema } from '../lease/lease.ts';

/** A coordinator's command to a peer: take no new stages from now on, or take them again. The stages it holds stay. */
export const drainRequestSchema = z.object({
  type: z.literal('drain-request'),
  draining: z.boolean(),
  /** The coordinator's lease, as with a stage. */
  lease: leaseSchema.optional(),
});
export type DrainRequest = z.infer<typeof drainRequestSchema>;

/** The peer's answer, once the command is on its disk and its card says so. */
export const drainAnswerSchema = z.object({ type: z.literal('drain-answer'), draining: z.boolean() });
export type DrainAnswer = z.infer<typeof drainAnswerSchema>;
