import { labelsSchema, peerIdSchema, roleSchema, sha256Schema } from '@skein/protocol';
import { z } from 'zod';

/** A time in milliseconds since 1970. */
const time = z.number().int().nonnegative();

/** A member that was admitted. */
export const memberRecordSchema = z.object({
  peer: peerIdSchema,
  roles: z.array(roleSchema).min(1),
  /** Name that its owner gave the machine when it joined. */
  name: z.string(),
  labels: labelsSchema,
  /** Issue of its newest certificate. */
  issuedAt: time,
  expiresAt: time,
  /** Issue of its first certificate since it joined. Left out for members that joined an authority of before. */
  joinedAt: time.optional(),
  /** The member that asked for it, where it is a client for an hour. */
  via: peerIdSchema.optional(),
  /** Hash of the invite that it came with. */
  invite: sha256Schema.optional(),
  /** The end of its membership, where it ended. Stays when nobody has to be told any more. */
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

/** The knowledge of an authority, beside its key. */
export const authorityStateSchema = z.object({
  epoch: z.number().int().positive(),
  graceEndsAt: time,
  listVersion: z.number().int().positive(),
  listIssuedAt: time,
  /** Beginning of the newest epoch. */
  epochBeganAt: time.default(0),
  holder: peerIdSchema.optional(),
  /** Revoked peers. `expiresAt` is the end of the newest certificate, after which nobody has to be told. */
  revoked: z.array(z.object({ peer: peerIdSchema, revokedAt: time, expiresAt: time.optional() })),
  members: z.array(memberRecordSchema),
  invites: z.array(inviteRecordSchema),
  /** Joins that wait for approval, or for their joiner to ask again after it. */
  pending: z.array(
    z.object({ member: memberRecordSchema, hash: sha256Schema, approved: z.boolean(), expiresAt: time.optional() }),
  ),
});
export type AuthorityState = z.infer<typeof authorityStateSchema>;
