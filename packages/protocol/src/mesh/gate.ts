import { z } from 'zod';

import { signedCertificateSchema } from './certificate.ts';

/**
 * Both ends of a connection show their certificates, the dialler first. A certificate names a peer id, which Noise has
 * proved, so a shown one is of no use on any other connection. A refusal is a `stream-error`.
 */
const introduction = {
  certificate: signedCertificateSchema,
  /** Version of the revocation list that this end knows: the other sends its own where that is newer. */
  revocations: z.number().int().nonnegative(),
};
export const gateHelloSchema = z.object({
  type: z.literal('gate-hello'),
  ...introduction,
  /** Whether it was dialled beside a connection that is there already, for bulk or for a test. Default: it was not. */
  extra: z.boolean().optional(),
});
export const gateWelcomeSchema = z.object({ type: z.literal('gate-welcome'), ...introduction });
