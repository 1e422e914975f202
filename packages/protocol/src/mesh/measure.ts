import { z } from 'zod';

/**
 * Bounds of one measurement of a link: what its answerer takes on one stream before it refuses, and so the most that one
 * costs the link. Single probes tell the round trip; trains of full ones, twice as long each time, the bandwidth.
 */
export const measureLimits = Object.freeze({
  /** Longest payload of a probe. */
  maxProbeBytes: 64 * 1024,
  maxProbes: 64,
  /** Payload bytes of all probes of one stream. */
  maxBytes: 2 * 1024 * 1024,
} as const);

/** Asks a member to say that this frame has arrived. Its payload is of no meaning, only of a length. */
export const measureProbeSchema = z.object({ type: z.literal('measure-probe') });
export type MeasureProbe = z.infer<typeof measureProbeSchema>;

/** Answers one probe, in the order they came in. Has no payload. */
export const measureEchoSchema = z.object({
  type: z.literal('measure-echo'),
  /** Payload bytes of the probe. */
  bytes: z.number().int().nonnegative().max(measureLimits.maxProbeBytes),
});
export type MeasureEcho = z.infer<typeof measureEchoSchema>;
