import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { bytesSchema } from '../codec/bytes-schema.ts';
import { peerIdSchema } from '../ids.ts';
import { roleSchema } from './role.ts';

/** Id of a mesh: the public key of its authority, in the text form of a peer id. */
export const meshIdSchema = peerIdSchema;

const maxLabels = 16;
const shortText = z.string().max(256);
/** A time in milliseconds since 1970. */
const time = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const labelRule = 'a label begins with a letter or digit, in lower case, and has 32 characters at most';

/** Labels that an owner gives a machine: `room=attic`. */
export const labelsSchema = z
  // A record leaves this name out without a word, and a label that somebody asked for must not get lost.
  .custom<Readonly<Record<string, string>>>(
    (value) => typeof value !== 'object' || value === null || !Object.hasOwn(value, '__proto__'),
    labelRule,
  )
  .pipe(
    z
      .record(z.string().regex(/^[a-z0-9][a-z0-9.-]{0,31}$/, labelRule), z.string().max(64))
      .refine((labels) => Object.keys(labels).length <= maxLabels, { message: `at most ${maxLabels} labels` }),
  );
export type Labels = z.infer<typeof labelsSchema>;

/** The authority's statement about one member. */
export const certificateSchema = z.object({
  mesh: meshIdSchema,
  /** The member's peer id: the certificate is of no use to anybody who can't prove it. */
  peer: peerIdSchema,
  /** The roles that it may take. Every member may ask as a client does. */
  roles: arraySchema(roleSchema, { least: 1, most: 3 }),
  name: shortText,
  labels: labelsSchema,
  /** The epoch: the authority raises it to end all certificates of earlier epochs. */
  epoch: z.number().int().positive(),
  issuedAt: time,
  expiresAt: time,
  /** Time at which the member joined: it stays when the certificate is renewed. Left out by authorities of before. */
  joinedAt: time.optional(),
});
export type Certificate = z.infer<typeof certificateSchema>;

const maxCertificateBytes = 4096;
const maxListBytes = 512 * 1024;
const signature = bytesSchema({ exactly: 64 });

/** An encoded statement, and the Ed25519 signature over its context followed by these very bytes. */
export interface Signed {
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** A certificate as it travels: the signed bytes are the sent bytes. */
export const signedCertificateSchema = z.object({ bytes: bytesSchema({ atMost: maxCertificateBytes }), signature });
export const certificateSignatureContext = 'skein-certificate-1:';

/** The members that are revoked, and the epoch that holds. Signed by the authority; the greatest version counts. */
export const revocationListSchema = z.object({
  mesh: meshIdSchema,
  version: z.number().int().positive(),
  issuedAt: time,
  epoch: z.number().int().positive(),
  /** End of the time in which certificates of the epoch before are valid as well, so that members can renew theirs. */
  graceEndsAt: time,
  /** Peer id of the machine that holds the authority: no other machine can claim it. Left out until one does. */
  holder: peerIdSchema.optional(),
  /**
   * Revoked peers. A peer's certificates issued up to `revokedAt` are void; a later one, from a new invite, is valid.
   */
  revoked: arraySchema(z.object({ peer: peerIdSchema, revokedAt: time }), { most: 4096 }),
});
export type RevocationList = z.infer<typeof revocationListSchema>;

export const signedRevocationListSchema = z.object({ bytes: bytesSchema({ atMost: maxListBytes }), signature });
export const revocationListSignatureContext = 'skein-revocations-1:';

/** A notice of a newer revocation list to a member. One frame, no answer. */
export const revocationsSchema = z.object({ type: z.literal('revocations'), list: signedRevocationListSchema });
