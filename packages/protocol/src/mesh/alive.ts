import { z } from 'zod';

/** Longest that a member may ask others to wait for a sign of life of it, in milliseconds. */
export const maxDeadAfterMs = 10_000;

/** Says that its sender is alive. Sent again and again on a stream of its own; never answered. */
export const aliveSchema = z.object({
  type: z.literal('alive'),
  /** How long the sender's network may keep it silent, in milliseconds, before it counts as dead. */
  deadAfterMs: z.number().int().min(100).max(maxDeadAfterMs),
});
export type Alive = z.infer<typeof aliveSchema>;
