import { z } from 'zod';

import { signedCertificateSchema } from './certificate.ts';

/**
 * The certificate that each end of a connection shows, the dialler first. A certificate names a peer id, which Noise
 * has proved, so a certificate that was shown is of no use on any other connection. A refusal is a `stream-error`.
 */
const introduction = {
  certificate: signedCertificateSchema,
  /** Version of the revocation list that this end knows: the other end sends its own where that is newer. */
  revocations: z.number().int().nonnegative(),
};
export const handshakeHelloSchema = z.object({
  type: z.literal('handshake-hello'),
  ...introduction,
  /** Whether the connection was dialled beside an existing one, for bulk or for a test. Default: false. */
  extra: z.boolean().optional(),
});
export const handshakeWelcomeSchema = z.object({ type: z.literal('handshake-welcome'), ...introduction });
