import { z } from 'zod';

import { bytesSchema } from '../codec/bytes-schema.ts';
import { peerIdSchema } from '../ids.ts';
import { signedCertificateSchema, signedRevocationListSchema } from './certificate.ts';

/** Length of an invite's secret: nobody guesses 128 bits. */
export const inviteSecretBytes = 16;

/** A request to the authority for a certificate. The only request that is answered before admission. */
export const joinRequestSchema = z.object({
  type: z.literal('join-request'),
  secret: bytesSchema({ exactly: inviteSecretBytes }),
  /** Name that the owner gives the machine. */
  name: z.string().max(256),
});
export type JoinRequest = z.infer<typeof joinRequestSchema>;

const credentials = { certificate: signedCertificateSchema, revocations: signedRevocationListSchema };

export const joinAnswerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('join-granted'), ...credentials }),
  /** Answer while somebody has to approve the machine first: ask again with the same invite. */
  z.object({ type: z.literal('join-pending') }),
]);
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;

/** A request to the authority for a new certificate in place of the one shown on this connection. */
export const renewRequestSchema = z.object({ type: z.literal('renew-request') });

/**
 * A request to the authority for a certificate of an hour, as a client, for a program on the asking member's machine.
 */
export const clientRequestSchema = z.object({ type: z.literal('client-request'), peer: peerIdSchema });

/** The answer to a `renew-request` and to a `client-request`. */
export const credentialsSchema = z.object({ type: z.literal('credentials'), ...credentials });

/** A member's notice to the authority that it leaves the mesh. */
export const leaveRequestSchema = z.object({ type: z.literal('leave-request') });
export const leaveAnswerSchema = z.object({ type: z.literal('left') });
