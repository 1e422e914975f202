import { z } from 'zod';

import { peerIdSchema } from '../ids.ts';
import { labelsSchema, signedCertificateSchema, signedRevocationListSchema } from '../mesh/certificate.ts';
import { roleSchema } from '../mesh/role.ts';

/** Terms of an invite. Each left out has its default. */
export const inviteRequestSchema = z.object({
  role: roleSchema.optional(),
  labels: labelsSchema.optional(),
  expiresInMs: z.number().int().positive().optional(),
  uses: z.number().int().positive().optional(),
  approve: z.boolean().optional(),
});
export const inviteAnswerSchema = z.object({ invite: z.string() });

const memberSchema = z.object({
  peer: peerIdSchema,
  roles: z.array(roleSchema),
  name: z.string(),
  labels: labelsSchema,
  /** Milliseconds since 1970, of its newest certificate. */
  issuedAt: z.number(),
  expiresAt: z.number(),
  /** `waiting`: for `skein members approve`. */
  state: z.enum(['member', 'waiting', 'revoked', 'left', 'expired']),
  /** The member that a client of an hour belongs to. */
  via: peerIdSchema.optional(),
});
/** A machine that was let in or waits, as the authority knows it. */
export type MemberDescription = z.infer<typeof memberSchema>;

/** Everybody who was let in or waits. */
export const membersAnswerSchema = z.object({ mesh: z.string(), members: z.array(memberSchema) });

/** One machine, by its peer id. */
export const memberRequestSchema = z.object({ peer: peerIdSchema });

/** A new epoch. The certificates of the one before are good for `graceMs` still. */
export const rotateRequestSchema = z.object({ graceMs: z.number().int().nonnegative().optional() });

/** Longest base64 text: the longest revocation list fits. */
const maxBase64Characters = 1024 * 1024;

/** Bytes of a signed statement, which are base64 text in JSON. */
function base64Schema(bytes: z.ZodType<Uint8Array, Uint8Array>) {
  return z
    .base64()
    .max(maxBase64Characters)
    .transform((text): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)))
    .pipe(bytes);
}

function signedSchema({ shape }: typeof signedCertificateSchema) {
  return z.object({ bytes: base64Schema(shape.bytes), signature: base64Schema(shape.signature) });
}

/** Credentials of a client for an hour, and where members can be dialled. */
export const clientAnswerSchema = z.object({
  mesh: z.string(),
  certificate: signedSchema(signedCertificateSchema),
  revocations: signedSchema(signedRevocationListSchema),
  /** Multiaddrs of this member and others. */
  peers: z.array(z.string()),
});
