import { z } from 'zod';

import { leaseSchema } from './lease.ts';

/** Longest copy of the desired state that travels, in bytes. */
export const maxDesiredCopyBytes = 4 * 1024 * 1024;

/** A change of the desired state: of two, the one of the greater epoch is newer, then that of the greater revision. */
export const desiredChangeSchema = z.object({
  /** Epoch of the lease under which it was made; 0 before there were leases. */
  epoch: leaseSchema.shape.epoch.or(z.literal(0)),
  revision: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
});
export type DesiredChange = z.infer<typeof desiredChangeSchema>;

/** The desired state as the holder of the lease has it, or as another coordinator keeps it. Payload: the copy's bytes. */
const desiredCopySchema = z.object({ type: z.literal('desired-copy'), change: desiredChangeSchema });

/** A coordinator's frame to another one: its newest state, to be kept; or a request for the copy that is kept there. */
export const desiredRequestSchema = z.discriminatedUnion('type', [
  desiredCopySchema,
  z.object({ type: z.literal('desired-ask') }),
]);
export type DesiredRequest = z.infer<typeof desiredRequestSchema>;

/** The answer: the copy is on the disk; the copy that was asked for; or there is none. */
export const desiredAnswerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('desired-kept') }),
  desiredCopySchema,
  z.object({ type: z.literal('desired-none') }),
]);
export type DesiredAnswer = z.infer<typeof desiredAnswerSchema>;

/** Compares two changes: positive where the first one is newer. A missing one is the oldest. */
export function compareChanges(one: DesiredChange | undefined, other: DesiredChange | undefined): number {
  if (one === undefined || other === undefined) return Number(one !== undefined) - Number(other !== undefined);
  return one.epoch - other.epoch || one.revision - other.revision;
}
