import { z } from 'zod';

/** Says that its sender is alive. Sent again and again on a stream of its own; never answered. */
export const aliveSchema = z.object({
  type: z.literal('alive'),
  /** How long the sender's network may keep it silent, in milliseconds, before it counts as dead. */
  deadAfterMs: z.number().int().min(100).max(10_000),
});
export type Alive = z.infer<typeof aliveSchema>;
