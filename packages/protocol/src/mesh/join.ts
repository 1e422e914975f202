import { z } from 'zod';

import { bytesSchema } from '../codec/bytes-schema.ts';
import { peerIdSchema } from '../ids.ts';
import { signedCertificateSchema, signedRevocationListSchema } from './certificate.ts';

/** Length of an invite's secret: nobody guesses 128 bits. */
export const inviteSecretBytes = 16;

/** Asks the authority for a certificate. The only request that is answered before the gate. */
export const joinRequestSchema = z.object({
  type: z.literal('join-request'),
  secret: bytesSchema({ exactly: inviteSecretBytes }),
  /** What its owner calls the machine. */
  name: z.string().max(256),
});
export type JoinRequest = z.infer<typeof joinRequestSchema>;

const credentials = { certificate: signedCertificateSchema, revocations: signedRevocationListSchema };

export const joinAnswerSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('join-granted'), ...credentials }),
  /** Somebody has to approve it first: ask again with the same invite. */
  z.object({ type: z.literal('join-pending') }),
]);
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;

/** Asks the authority for a new certificate in place of the one that the gate saw. */
export const renewRequestSchema = z.object({ type: z.literal('renew-request') });

/** Asks the authority for a certificate of an hour, as a client, for a program on the asking member's machine. */
export const clientRequestSchema = z.object({ type: z.literal('client-request'), peer: peerIdSchema });

/** Answers both. */
export const credentialsSchema = z.object({ type: z.literal('credentials'), ...credentials });

/** Tells the authority that this member wants to be one no longer. */
export const leaveRequestSchema = z.object({ type: z.literal('leave-request') });
export const leaveAnswerSchema = z.object({ type: z.literal('left') });
