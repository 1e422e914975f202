import { z } from 'zod';

import { peerIdSchema } from '../ids.ts';
import { labelsSchema, signedCertificateSchema, signedRevocationListSchema } from '../mesh/certificate.ts';
import { roleSchema } from '../mesh/role.ts';

/** Terms of an invite. Fields that are left out have defaults. */
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
  /** Issue of its newest certificate, in milliseconds since 1970. */
  issuedAt: z.number(),
  expiresAt: z.number(),
  /** `waiting` for `skein members approve`, or its standing in the mesh. */
  state: z.enum(['member', 'waiting', 'revoked', 'left', 'expired']),
  /** Peer id of the member that a short-lived client belongs to. */
  via: peerIdSchema.optional(),
});
/** A machine that was admitted or waits to be, as the authority knows it. */
export type MemberDescription = z.infer<typeof memberSchema>;

/** Every machine that was admitted or waits to be. */
export const membersAnswerSchema = z.object({ mesh: z.string(), members: z.array(memberSchema) });

/** One machine, by its peer id. */
export const memberRequestSchema = z.object({ peer: peerIdSchema });

/** A request for a new epoch. Certificates of the epoch before stay valid for `graceMs`. */
export const rotateRequestSchema = z.object({ graceMs: z.number().int().nonnegative().optional() });

/** Longest base64 text, in characters: the longest revocation list fits. */
const maxBase64Characters = 1024 * 1024;

/** Makes a schema of signed bytes that are base64 text in JSON. */
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

/** Credentials that last an hour for a client, and addresses of members that it can dial. */
export const clientAnswerSchema = z.object({
  mesh: z.string(),
  certificate: signedSchema(signedCertificateSchema),
  revocations: signedSchema(signedRevocationListSchema),
  /** Multiaddrs of this member and others. */
  peers: z.array(z.string()),
});
