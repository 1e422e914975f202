import {
  deploymentIdSchema,
  finishReasonSchema,
  limits,
  peerIdSchema,
  roleSchema,
  sha256Schema,
} from '@skein/protocol';
import { z } from 'zod';

const count = z.number().int().nonnegative();
const milliseconds = z.number().int().nonnegative();
/** Names a kind of cause, as error codes do. Never a text: texts quote what people wrote. */
const code = z.string().regex(/^[a-z0-9-]{1,64}$/);
const name = z.string().max(256);
/** A multiaddr, or the address of a TCP connection. */
const address = z.string().max(256);

/** A member was let in for the first time. */
const joinSchema = z.object({
  type: z.literal('join'),
  peer: peerIdSchema,
  role: roleSchema,
  name: name.optional(),
  address: address.optional(),
  /** The member that let it in, where that was not this coordinator. */
  by: peerIdSchema.optional(),
});

/** Somebody was not let in, or a member was denied something. */
const refusalSchema = z.object({
  type: z.literal('refusal'),
  reason: code,
  /** Left out where it did not get so far as to prove who it is. */
  peer: peerIdSchema.optional(),
  role: roleSchema.optional(),
  name: name.optional(),
  address: address.optional(),
  /** How many alike this entry stands for: strangers must not be able to fill the disk. */
  count: count.positive().default(1),
});

/** A member was put out. */
const revocationSchema = z.object({
  type: z.literal('revocation'),
  peer: peerIdSchema,
  role: roleSchema.optional(),
  name: name.optional(),
  reason: code,
  by: peerIdSchema.optional(),
});

/**
 * `deployed`: it serves. `failed`: it never did. `lost`: it served and a stage went away. `undeployed`: it was taken down,
 * on request or because the coordinator stopped.
 */
const deploymentSchema = z.object({
  type: z.literal('deployment'),
  action: z.enum(['deployed', 'failed', 'lost', 'undeployed']),
  deployment: deploymentIdSchema,
  model: z.string().max(limits.maxNameLength),
  sha256: sha256Schema,
  /** In pipeline order: who holds the layers from `from` up to, and not including, `to`. */
  stages: z.array(z.object({ peer: peerIdSchema, from: count, to: count })).max(limits.maxStages),
  error: code.optional(),
});

/** Peers that one request names at most: it may have gone to several replicas, one after the other. */
export const maxRequestPeers = 4 * limits.maxStages;

/**
 * `answered`: to its end. `refused`: no peer saw it. `failed`: it broke off. `cancelled`: the client went away.
 * Sizes and codes only: nothing here may hold what was asked or answered.
 */
const requestSchema = z.object({
  type: z.literal('request'),
  /** As it stands in the answer. */
  id: z.string().max(64),
  /** Who asked: `local` for a program at the HTTP API, or a member's peer id. */
  client: z.union([z.literal('local'), peerIdSchema]),
  address: address.optional(),
  endpoint: z.string().max(64),
  outcome: z.enum(['answered', 'refused', 'failed', 'cancelled']),
  /** Left out when nothing that the mesh has was asked for: the client's own words could be anything. */
  model: z.string().max(limits.maxNameLength).optional(),
  sha256: sha256Schema.optional(),
  /** The last one that it was sent to. */
  deployment: deploymentIdSchema.optional(),
  /** All that the request was sent to: of each replica the lead, then its other stages. */
  peers: z.array(peerIdSchema).max(maxRequestPeers),
  choices: count.optional(),
  /** Characters of all messages together, or tokens where the prompt came as such. */
  promptSize: count.optional(),
  /** As the lead counted them; left out when it did not get to the end. */
  promptTokens: count.optional(),
  /** Of all choices together, as far as they got. */
  completionTokens: count.optional(),
  /** One for each choice that came to its end, in their order. */
  finishReasons: z.array(finishReasonSchema).max(64).optional(),
  error: code.optional(),
  durationMs: milliseconds,
});

const startedSchema = z.object({ type: z.literal('started'), peer: peerIdSchema, url: z.string().max(256) });
const stoppedSchema = z.object({ type: z.literal('stopped') });

/** What is told to the log. */
export const auditEventSchema = z.discriminatedUnion('type', [
  startedSchema,
  stoppedSchema,
  joinSchema,
  refusalSchema,
  revocationSchema,
  deploymentSchema,
  requestSchema,
]);
export type AuditEvent = z.input<typeof auditEventSchema>;
export type RequestEvent = z.infer<typeof requestSchema>;
export type DeploymentEvent = z.infer<typeof deploymentSchema>;

/** The first entry of every log. */
const openedSchema = z.object({
  type: z.literal('opened'),
  format: z.literal(1),
  /** Public half of the key that signs, as base64 of its SubjectPublicKeyInfo: the body of a PEM file. */
  key: z.string().max(128),
});

/** Signed: nobody without the key can have rewritten what is before it. */
const checkpointSchema = z.object({ type: z.literal('checkpoint') });

/** The coordinator was killed while it wrote, and found this when it started again. */
const recoveredSchema = z.object({
  type: z.literal('recovered'),
  /** Whole entries behind the head, which nobody had been told were written. They stay. */
  unsealed: count,
  /** Behind the last whole entry; they were moved away. */
  tornBytes: count,
  /** Name of the file where they are. */
  kept: z.string().max(64).optional(),
});

/** Events that could not even be kept in memory while the disk took nothing. */
const droppedSchema = z.object({ type: z.literal('dropped'), count });

/** What stands in the log: what was told to it, and what it says of itself. */
export const loggedEventSchema = z.discriminatedUnion('type', [
  ...auditEventSchema.options,
  openedSchema,
  checkpointSchema,
  recoveredSchema,
  droppedSchema,
]);
export type LoggedEvent = z.infer<typeof loggedEventSchema>;
