import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { bytesSchema } from '../codec/bytes-schema.ts';
import { deploymentIdSchema, peerIdSchema, sha256Schema } from '../ids.ts';
import { knownLeaseSchema } from '../lease/lease.ts';
import { limits } from '../limits.ts';
import { blockSchema } from '../stage/messages.ts';
import { maxGpus, stagePlacementSchema } from '../stage/placement.ts';
import { labelsSchema, signedCertificateSchema } from './certificate.ts';
import { roleSchema } from './role.ts';

const byteCount = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
const shortText = z.string().max(256);
/** Longest duration that a card may claim, in milliseconds: an hour. */
const maxMilliseconds = 3_600_000;
const milliseconds = z.number().nonnegative().max(maxMilliseconds);

/** A GPU that stages on this machine are placed on. */
const gpuSchema = z.object({
  name: shortText,
  /** Memory of this GPU alone. */
  memoryBytes: byteCount,
  freeMemoryBytes: byteCount,
  /** Whether that is main memory, shared with the CPU, rather than memory of its own. Default: false. */
  sharesMainMemory: z.boolean().optional(),
});

/** Most measurements of computing that a card lists. */
export const maxMeasuredSpeeds = 8;

/**
 * A machine's speed of computing, measured with the layers of one model. It is the machine's: it says how fast it
 * computes layers of other models, too, the better the more alike they are.
 */
export const measuredSpeedSchema = z.object({
  /** The backend that computed: `cpu`, `cuda`, `vulkan` or `metal`. */
  backend: z.string().max(32),
  /** Bytes of weights that one token passes through in one of the layers. */
  layerBytes: byteCount.positive(),
  /** Number of those weights. */
  layerWeights: byteCount.positive(),
  /** Bytes of weights that it reads in a second while it decodes one row. */
  decodeBytesPerSecond: z.number().positive().max(Number.MAX_SAFE_INTEGER),
  /** Floating-point operations in a second while it reads a prompt: two for each weight and row. */
  prefillFlops: z.number().positive().max(Number.MAX_SAFE_INTEGER),
  /** Rows of the micro-batch that `prefillFlops` was measured with. */
  prefillRows: z.number().int().positive().max(limits.maxBatchTokens),
  /**
   * Time to un-embed one row and to draw a token, with an output matrix of so many weights. Left out by machines that were
   * no tail yet, and by peers that do not say.
   */
  head: z.object({ ms: milliseconds.positive(), weights: byteCount.positive() }).optional(),
  /**
   * Time that a small frame takes between the peer's process and its engine's, either way, in milliseconds. Left out by
   * peers that do not measure it.
   */
  pipeMs: milliseconds.positive().optional(),
});
export type MeasuredSpeed = z.infer<typeof measuredSpeedSchema>;

/** Bounds of the ratio of a measured speed to a predicted one: beyond them the prediction is wrong, not inexact. */
export const ratioBounds = { least: 0.25, most: 4 } as const;
const ratio = z.number().min(ratioBounds.least).max(ratioBounds.most);
export const speedRatiosSchema = z.object({ whole: ratio.optional(), split: ratio.optional() });
export type SpeedRatios = z.infer<typeof speedRatiosSchema>;

export const hardwareSchema = z.object({
  platform: shortText,
  cpu: shortText,
  /** Physical cores. */
  cores: z.number().int().positive(),
  /** Main memory, or as much of it as this process may use. */
  memoryBytes: byteCount,
  /** Main memory that models may take now. */
  freeMemoryBytes: byteCount,
  /** The engine's backend on this machine: `cpu`, `cuda`, `vulkan` or `metal`. */
  backend: z.string().max(32),
  /** GPUs that stages use: the ones that were asked for, else those with memory of their own, else integrated ones. */
  gpus: arraySchema(gpuSchema, { most: maxGpus }),
  /** Reason why the CPU computes although a GPU was looked for. Left out where none is amiss. */
  fallback: shortText.optional(),
  /** Left out by peers that never loaded a stage, and by those that do not measure. */
  speeds: arraySchema(measuredSpeedSchema, { most: maxMeasuredSpeeds }).optional(),
  /**
   * Speed of one stream that replicas led by this machine have had, relative to what would be predicted without it: of
   * whole ones, and of those that are split. Left out before it is known, and by peers that do not measure.
   */
  ratios: speedRatiosSchema.optional(),
});
export type Hardware = z.infer<typeof hardwareSchema>;

/** Most further names that a card lists for one model. */
export const maxModelAliases = 8;

/** A whole model, sections of which a peer can serve. */
export const heldModelSchema = z.object({
  model: sha256Schema,
  /** Digest of its encoded manifest. */
  manifest: sha256Schema,
  name: z.string().min(1).max(limits.maxNameLength),
  /** Further names of the model with its holder, such as the catalog's. Case does not matter. Default: none. */
  aliases: arraySchema(z.string().min(1).max(limits.maxNameLength), { most: maxModelAliases }).optional(),
  bytes: byteCount,
  /**
   * The reason why it can't be deployed, in words that follow its name. Such a model is not listed. Left out for all
   * others.
   */
  unusable: shortText.optional(),
});
export type HeldModel = z.infer<typeof heldModelSchema>;

/** Greatest speed that a card may claim. */
const tokensPerSecond = z.number().nonnegative().max(1e6);

/** Durations measured right after a stage was loaded, with an empty cache and an idle machine. */
export const stageSpeedSchema = z.object({
  /** Time of one row through one layer. */
  decodeMsPerLayer: milliseconds,
  /** Time of one of many rows through one layer. */
  prefillMsPerTokenPerLayer: milliseconds,
  /** Time to un-embed one row and draw a token; 0 on stages other than the tail. */
  headMs: milliseconds,
});
export type StageSpeed = z.infer<typeof stageSpeedSchema>;

/** A member's measurement of its link to another member. */
export const linkSchema = z.object({
  /** Peer id of the other end. */
  peer: peerIdSchema,
  /** Time from a small frame to its answer, median of several. */
  roundTripMs: milliseconds,
  /** Throughput towards the other end, in one stream, as ring frames go. */
  bytesPerSecond: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** Time of the measurement, in milliseconds since 1970 by the measuring member's clock. */
  measuredAt: z.number().int().nonnegative(),
});
export type Link = z.infer<typeof linkSchema>;

/** Most links on one card: few enough to leave room for models and stages. */
export const maxCardLinks = 32;

/** A stage that a peer serves. */
export const heldStageSchema = z.object({
  deployment: deploymentIdSchema,
  model: sha256Schema,
  name: z.string().min(1).max(limits.maxNameLength),
  stage: z.number().int().nonnegative(),
  stages: z.number().int().positive(),
  block: blockSchema,
  /**
   * `ready` on the lead means that the whole ring is connected. `draining`, on the lead alone: it is being taken down, ends
   * the generations that it has and takes no more.
   */
  state: z.enum(['loading', 'ready', 'draining']),
  contextTokens: z.number().int().positive(),
  sequences: z.number().int().positive(),
  /**
   * Memory of the loaded stage: weights, KV cache and an estimate for compute buffers. Free memory does not tell, since
   * mapped weights can be dropped and so count as free. 0 from peers that do not say.
   */
  bytes: byteCount.int().default(0),
  /**
   * Sequences being generated now. 0 on stages other than the lead, as is the number of requests that wait for a free
   * one.
   */
  active: z.number().int().nonnegative(),
  queued: z.number().int().nonnegative(),
  /**
   * Number of the present ring: another one whenever the ring is closed, as after a lost stage was replaced. On the lead of
   * several stages alone; left out before it is closed, and by peers that do not say.
   */
  ring: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
  /**
   * Prompt tokens of those that have yet to be read, rounded up to four binary digits so that cards need not follow each
   * chunk. On the lead alone; left out by peers that do not say.
   */
  waitingTokens: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
  /**
   * Time for which a sequence holds its place, mean of the last ones. On the lead alone; left out before one has ended,
   * and by peers that do not say.
   */
  sequenceMs: milliseconds.optional(),
  /**
   * Decode speed of a sequence that ran alone, without draft tokens, mean of the last ones, and the speed that was
   * predicted. On the lead alone; left out before one has run so, and by peers that do not say.
   */
  tokensPerSecond: tokensPerSecond.optional(),
  predictedTokensPerSecond: tokensPerSecond.optional(),
  /**
   * Whether the replica is a standby: requests go to it where no other replica of its model may take them. On the lead
   * alone. Default: false, as for peers that do not know of standbys.
   */
  standby: z.boolean().optional(),
  /** Left out until the stage is loaded, and by peers that do not measure. */
  speed: stageSpeedSchema.optional(),
  /** Place of the stage in memory. Left out until it is loaded, and by peers that do not say. */
  placement: stagePlacementSchema.optional(),
});
export type HeldStage = z.infer<typeof heldStageSchema>;

/** Most doubts that a card lists. */
export const maxCardDoubts = 64;
/** Most machines that a doubt names, and most doubts that name any. */
export const maxDoubtedPeers = 8;
export const maxTakenDoubts = 16;

/** A replica that its coordinator found to answer otherwise than others of its kind. */
const doubtSchema = z.object({
  deployment: deploymentIdSchema,
  /** Whether it is wrong, and gets no more requests. Else it or another one is, and nobody knows which. */
  isOut: z.boolean(),
  /** The machines that it lay on, and the model's name, once it was taken down: they are told of until they serve it again. */
  taken: z
    .object({ name: shortText, peers: arraySchema(peerIdSchema, { least: 1, most: maxDoubtedPeers }) })
    .optional(),
});

/** Memory that is kept for a stage until it is loaded, ten seconds at most. */
const reservedStageSchema = z.object({
  deployment: deploymentIdSchema,
  stage: z.number().int().nonnegative(),
  bytes: byteCount,
});

/** A member's description of itself for all others. */
export const cardSchema = z.object({
  peer: peerIdSchema,
  /**
   * Number that grows with every card of this peer, also across restarts: milliseconds since 1970, raised when needed.
   */
  version: z.number().int().nonnegative(),
  roles: arraySchema(roleSchema, { least: 1, most: 3 }),
  /**
   * Whether the member claims to hold the mesh's authority, and so to renew certificates. A false claim is harmless:
   * without the key nobody can sign.
   */
  authority: z.boolean().optional(),
  /** Labels of the member's certificate. Receivers take them from there, whatever the card says. */
  labels: labelsSchema.optional(),
  /** Time at which the member joined, from its certificate as the labels are: milliseconds since 1970. */
  joinedAt: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
  /** Name that the owner gave the machine, or its host name. */
  name: shortText,
  software: z.string().max(64),
  /** Multiaddrs at which it can be dialled. */
  addresses: arraySchema(z.string().max(256), { most: limits.maxAddresses }),
  hardware: hardwareSchema.optional(),
  models: arraySchema(heldModelSchema, { most: 256 }),
  stages: arraySchema(heldStageSchema, { most: limits.maxStages }),
  /**
   * The greatest lease that the member knows of as a coordinator: its own while it holds it. Left out by members that
   * do not coordinate, and until there is one.
   */
  lease: knownLeaseSchema.optional(),
  /** The greatest lease that the member has accepted as a peer. Left out until there is one. */
  fence: knownLeaseSchema.optional(),
  /** Replicas that the member, a coordinator, has doubts about. Left out where there are none. */
  doubts: arraySchema(doubtSchema, { most: maxCardDoubts }).optional(),
  /** Links to other serving members, measured while both were idle. Left out by members that do not measure. */
  links: arraySchema(linkSchema, { most: maxCardLinks }).optional(),
  /** Whether the peer takes no new stages, since somebody drains it or it is about to stop. Default: false. */
  draining: z.boolean().optional(),
  /**
   * Memory that placements have reserved for stages which they are about to load, when the card was made. Left out by
   * peers that do not say.
   */
  reserved: arraySchema(reservedStageSchema, { most: limits.maxStages }).optional(),
});
export type Card = z.infer<typeof cardSchema>;

/** Bytes of a member's digest: as many that nobody can find a key for an identity with the digest of another one. */
export const memberDigestBytes = 8;

/** A card as it travels: the frame's payload is the encoded card, so that the signed bytes are the sent bytes. */
export const signedCardSchema = z.object({
  type: z.literal('card'),
  /** Certificate of the card's member, since most readers get a card by way of others. */
  certificate: signedCertificateSchema,
  /** Ed25519 signature over `cardSignatureContext` followed by the payload, by the key inside the card's peer id. */
  signature: bytesSchema({ exactly: 64 }),
  /**
   * Members whose cards the sender of this frame gets from themselves, so that nobody has to pass them on to it: their
   * digests, one after the other, each the first `memberDigestBytes` bytes of the SHA-256 of a peer id. Left out where
   * they are those that it named last on this stream; none before the first time.
   */
  firsthand: bytesSchema({ atMost: limits.maxFirsthand * memberDigestBytes }).optional(),
});
export const cardSignatureContext = 'skein-card-1:';

/** The request for a member's card as it is now, its hardware looked at anew. Answered as cards are sent. */
export const freshCardRequestSchema = z.object({ type: z.literal('fresh-card-request') });
export type FreshCardRequest = z.infer<typeof freshCardRequestSchema>;
