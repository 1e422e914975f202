import { z } from 'zod';

/**
 * Bounds of one measurement of a link. The answering member refuses more on one stream, so they are the most that a
 * measurement costs the link. Single probes tell the round trip; trains of full ones, twice as long each time, the
 * bandwidth.
 */
export const measureLimits = Object.freeze({
  /** Longest payload of a probe. */
  maxProbeBytes: 64 * 1024,
  maxProbes: 64,
  /** Most payload bytes of all probes of one stream. */
  maxBytes: 2 * 1024 * 1024,
} as const);

/** A probe: a request to confirm that this frame has arrived. Its payload has a length and no meaning. */
export const measureProbeSchema = z.object({ type: z.literal('measure-probe') });
export type MeasureProbe = z.infer<typeof measureProbeSchema>;

/** The confirmation of one probe, in the order in which they arrived. It has no payload. */
export const measureEchoSchema = z.object({
  type: z.literal('measure-echo'),
  /** Payload bytes of the probe. */
  bytes: z.number().int().nonnegative().max(measureLimits.maxProbeBytes),
});
export type MeasureEcho = z.infer<typeof measureEchoSchema>;
