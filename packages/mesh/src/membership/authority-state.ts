import { labelsSchema, peerIdSchema, roleSchema, sha256Schema } from '@skein/protocol';
import { z } from 'zod';

/** Milliseconds since 1970. */
const time = z.number().int().nonnegative();

/** Somebody who was let in. */
export const memberRecordSchema = z.object({
  peer: peerIdSchema,
  roles: z.array(roleSchema).min(1),
  /** What its owner called the machine when it joined. */
  name: z.string(),
  labels: labelsSchema,
  /** Of its newest certificate. */
  issuedAt: time,
  expiresAt: time,
  /** Of a client for an hour: the member that asked for it. */
  via: peerIdSchema.optional(),
  /** Hash of the invite that it came with. */
  invite: sha256Schema.optional(),
  /** How its membership ended, where it did. Stays when nobody has to be told any more. */
  ended: z.enum(['revoked', 'left']).optional(),
});
export type MemberRecord = z.infer<typeof memberRecordSchema>;

const inviteRecordSchema = z.object({
  /** SHA-256 of the secret, which is random enough that nothing slower is needed. */
  hash: sha256Schema,
  roles: z.array(roleSchema).min(1),
  labels: labelsSchema,
  expiresAt: time,
  usesLeft: z.number().int().nonnegative(),
  approve: z.boolean(),
});
export type InviteRecord = z.infer<typeof inviteRecordSchema>;

/** What an authority knows, beside its key. */
export const authorityStateSchema = z.object({
  epoch: z.number().int().positive(),
  graceEndsAt: time,
  listVersion: z.number().int().positive(),
  listIssuedAt: time,
  /** When the newest epoch began. */
  epochBeganAt: time.default(0),
  holder: peerIdSchema.optional(),
  /** `expiresAt`: of its newest certificate, after which nobody has to be told. */
  revoked: z.array(z.object({ peer: peerIdSchema, revokedAt: time, expiresAt: time.optional() })),
  members: z.array(memberRecordSchema),
  invites: z.array(inviteRecordSchema),
  /** Joins that wait for approval, or for their joiner to ask again after it. */
  pending: z.array(
    z.object({ member: memberRecordSchema, hash: sha256Schema, approved: z.boolean(), expiresAt: time.optional() }),
  ),
});
export type AuthorityState = z.infer<typeof authorityStateSchema>;
