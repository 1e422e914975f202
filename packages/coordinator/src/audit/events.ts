import {
  deploymentIdSchema,
  finishReasonSchema,
  labelsSchema,
  limits,
  peerIdSchema,
  roleSchema,
  sha256Schema,
} from '@skein/protocol';
import { z } from 'zod';

const count = z.number().int().nonnegative();
const milliseconds = z.number().int().nonnegative();
/** Name of a kind of cause, like those of error codes. Never a text: texts quote people's words. */
const code = z.string().regex(/^[a-z0-9-]{1,64}$/);
const name = z.string().max(256);
/** A multiaddr, or the address of a TCP connection. */
const address = z.string().max(256);

/** The first admission of a member. */
const joinSchema = z.object({
  type: z.literal('join'),
  peer: peerIdSchema,
  role: roleSchema,
  name: name.optional(),
  address: address.optional(),
  /** The member that admitted it, unless it was this coordinator. */
  by: peerIdSchema.optional(),
});

/** A refused admission, or a request that a member was denied. */
const refusalSchema = z.object({
  type: z.literal('refusal'),
  reason: code,
  /** Peer id; left out for a machine that did not get so far as to prove one. */
  peer: peerIdSchema.optional(),
  role: roleSchema.optional(),
  name: name.optional(),
  address: address.optional(),
  /** Number of equal events that this entry stands for: strangers must not be able to fill the disk. */
  count: count.positive().default(1),
});

/** The revocation of a member. */
const revocationSchema = z.object({
  type: z.literal('revocation'),
  peer: peerIdSchema,
  role: roleSchema.optional(),
  name: name.optional(),
  reason: code,
  by: peerIdSchema.optional(),
});

/**
 * A change of a deployment. `deployed`: it serves. `failed`: it never did. `lost`: it served and a stage went away.
 * `undeployed`: it was taken down, on request or because the coordinator stopped.
 */
const deploymentSchema = z.object({
  type: z.literal('deployment'),
  action: z.enum(['deployed', 'failed', 'lost', 'undeployed']),
  deployment: deploymentIdSchema,
  model: z.string().max(limits.maxNameLength),
  sha256: sha256Schema,
  /** Stages in pipeline order: each peer holds the layers from `from` up to, and not including, `to`. */
  stages: z.array(z.object({ peer: peerIdSchema, from: count, to: count })).max(limits.maxStages),
  error: code.optional(),
});

/**
 * A replica that answers a probe otherwise than others of its kind. `doubted`: it or another one is wrong. `out`: it is
 * wrong, and gets no more requests. `sound`: the doubt is gone.
 */
const canarySchema = z.object({
  type: z.literal('canary'),
  verdict: z.enum(['sound', 'doubted', 'out']),
  deployment: deploymentIdSchema,
  model: z.string().max(limits.maxNameLength),
  sha256: sha256Schema,
  /** Peers of its stages, the lead's first. */
  peers: z.array(peerIdSchema).max(limits.maxStages),
});

/** Most peers in each list of one request: it may have gone to several replicas, one after the other. */
export const maxRequestPeers = 4 * limits.maxStages;

/**
 * A request. `answered`: to its end. `refused`: no peer saw it. `failed`: it broke off. `cancelled`: the client went
 * away. Sizes and codes only: no field may hold a part of the question or the answer.
 */
const requestSchema = z.object({
  type: z.literal('request'),
  /** Id as it stands in the answer. */
  id: z.string().max(64),
  /** The client: `local` for a program at the HTTP API, or a member's peer id. */
  client: z.union([z.literal('local'), peerIdSchema]),
  address: address.optional(),
  endpoint: z.string().max(64),
  outcome: z.enum(['answered', 'refused', 'failed', 'cancelled']),
  /** Name of the model; left out when the mesh has none of the name: the client's own words could be anything. */
  model: z.string().max(limits.maxNameLength).optional(),
  sha256: sha256Schema.optional(),
  /** The last deployment that it was sent to. */
  deployment: deploymentIdSchema.optional(),
  /** All peers that it was sent to: of each replica the lead, then its other stages. */
  peers: z.array(peerIdSchema).max(maxRequestPeers),
  /** Other peers that were sent prompt and answer to read along, in case it had to go on there. Left out where there were none. */
  readAlong: z.array(peerIdSchema).max(maxRequestPeers).optional(),
  choices: count.optional(),
  /** Labels that every machine had to have which it was sent to. */
  labels: labelsSchema.optional(),
  /** Characters of all messages together, or tokens where the prompt came as such. */
  promptSize: count.optional(),
  /** Tokens as the lead counted them; left out when the answer broke off. */
  promptTokens: count.optional(),
  /** Tokens of all choices together, as far as they got. */
  completionTokens: count.optional(),
  /** One reason for each choice that came to its end, in their order. */
  finishReasons: z.array(finishReasonSchema).max(64).optional(),
  error: code.optional(),
  durationMs: milliseconds,
});

const startedSchema = z.object({ type: z.literal('started'), peer: peerIdSchema, url: z.string().max(256) });
const stoppedSchema = z.object({ type: z.literal('stopped') });

/** An event for the log. */
export const auditEventSchema = z.discriminatedUnion('type', [
  startedSchema,
  stoppedSchema,
  joinSchema,
  refusalSchema,
  revocationSchema,
  deploymentSchema,
  canarySchema,
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

/** A signed entry: nobody without the key can have rewritten those before it. */
const checkpointSchema = z.object({ type: z.literal('checkpoint') });

/** The traces of a crash, which the coordinator found when it started again. */
const recoveredSchema = z.object({
  type: z.literal('recovered'),
  /** Number of whole entries behind the head, which nobody had been told were written. They stay. */
  unsealed: count,
  /** Number of bytes behind the last whole entry; they were moved away. */
  tornBytes: count,
  /** Name of the file to which they were moved. */
  kept: z.string().max(64).optional(),
});

/** Events that did not even fit into memory while the disk took none. */
const droppedSchema = z.object({ type: z.literal('dropped'), count });

/** An entry of the log: an event from outside, or one about the log itself. */
export const loggedEventSchema = z.discriminatedUnion('type', [
  ...auditEventSchema.options,
  openedSchema,
  checkpointSchema,
  recoveredSchema,
  droppedSchema,
]);
export type LoggedEvent = z.infer<typeof loggedEventSchema>;
