import {
  cardSchema,
  labelsSchema,
  peerIdSchema,
  roleSchema,
  signedCertificateSchema,
  signedRevocationListSchema,
} from '@skein/protocol';
import { z } from 'zod';

const byteCount = z.number().int().nonnegative();
const trafficSchema = z.object({ sentBytes: byteCount, receivedBytes: byteCount });

/** What an invite may say. Times in milliseconds. */
const inviteOptionsSchema = z.object({
  role: roleSchema.optional(),
  labels: labelsSchema.optional(),
  expiresInMs: z.number().int().positive().optional(),
  uses: z.number().int().positive().optional(),
  approve: z.boolean().optional(),
});

/** What a command asks the daemon of its data directory. One request a connection. */
export const controlRequestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status') }),
  /** Answered with a new invite, by the daemon that has the mesh's authority. */
  z.object({ type: z.literal('invite'), ...inviteOptionsSchema.shape }),
  /** Everybody who was let in, as the authority knows them. */
  z.object({ type: z.literal('members') }),
  z.object({ type: z.literal('approve'), peer: peerIdSchema }),
  z.object({ type: z.literal('revoke'), peer: peerIdSchema }),
  z.object({ type: z.literal('rotate'), graceMs: z.number().int().nonnegative().optional() }),
  /** The member leaves its mesh, and the daemon stops. */
  z.object({ type: z.literal('leave') }),
  /** Answered with credentials for a client with this peer id, and with where members can be dialled. */
  z.object({ type: z.literal('admit-client'), peer: peerIdSchema }),
  /** The model store has changed: answered when the mesh has been told what it holds now. */
  z.object({ type: z.literal('announce-models') }),
  /** Answered at once; the connection ends when the daemon's process is gone. */
  z.object({ type: z.literal('stop') }),
]);
export type ControlRequest = z.infer<typeof controlRequestSchema>;

export const daemonStatusSchema = z.object({
  type: z.literal('daemon-status'),
  pid: z.number().int().positive(),
  /** This member's peer id. */
  peer: peerIdSchema,
  /** Of the HTTP API, when this machine coordinates. */
  url: z.string().optional(),
  startedAtMs: z.number().int().positive(),
  /** Whether another daemon uses this one's identity. */
  hasTwin: z.boolean(),
  /** Bytes that crossed the network since then, all of them encrypted. */
  traffic: z.object({ total: trafficSchema, peers: z.record(z.string(), trafficSchema) }),
  /** The mesh as this member sees it, itself included. */
  cards: z.array(cardSchema),
});
export type DaemonStatus = z.infer<typeof daemonStatusSchema>;

export const inviteAnswerSchema = z.object({ type: z.literal('daemon-invite'), invite: z.string() });

export const memberSchema = z.object({
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
export type MemberDescription = z.infer<typeof memberSchema>;
export const membersAnswerSchema = z.object({
  type: z.literal('daemon-members'),
  mesh: z.string(),
  members: z.array(memberSchema),
});
export type MembersAnswer = z.infer<typeof membersAnswerSchema>;

export const clientAnswerSchema = z.object({
  type: z.literal('daemon-client'),
  mesh: z.string(),
  certificate: signedCertificateSchema,
  revocations: signedRevocationListSchema,
  /** Multiaddrs of this member and others. */
  peers: z.array(z.string()),
});
export type ClientAnswer = z.infer<typeof clientAnswerSchema>;

/** What was asked for has been done. */
export const doneAnswerSchema = z.object({ type: z.literal('daemon-done') });
export const stopAnswerSchema = z.object({ type: z.literal('daemon-stopping'), pid: z.number().int().positive() });
