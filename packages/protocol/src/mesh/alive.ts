import { z } from 'zod';

/** Longest time that a member may ask others to wait for a sign of life, in milliseconds. */
export const maxDeadAfterMs = 10_000;

/** A heartbeat. Sent again and again on a stream of its own; never answered. */
export const aliveSchema = z.object({
  type: z.literal('alive'),
  /**
   * Longest silence of the sender, in milliseconds, before it counts as dead: its network may keep it silent for so
   * long.
   */
  deadAfterMs: z.number().int().min(100).max(maxDeadAfterMs),
});
export type Alive = z.infer<typeof aliveSchema>;
