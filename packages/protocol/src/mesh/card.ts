import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { bytesSchema } from '../codec/bytes-schema.ts';
import { deploymentIdSchema, peerIdSchema, sha256Schema } from '../ids.ts';
import { limits } from '../limits.ts';
import { blockSchema } from '../stage/messages.ts';
import { labelsSchema, signedCertificateSchema } from './certificate.ts';
import { roleSchema } from './role.ts';

const byteCount = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
const shortText = z.string().max(256);

export const hardwareSchema = z.object({
  platform: shortText,
  cpu: shortText,
  /** Physical cores. */
  cores: z.number().int().positive(),
  memoryBytes: byteCount,
  /** Memory that models may take now. */
  freeMemoryBytes: byteCount,
  /** The engine's backend on this machine: `cpu`, `cuda`, `vulkan` or `metal`. */
  backend: z.string().max(32),
  gpus: arraySchema(z.object({ name: shortText, memoryBytes: byteCount, freeMemoryBytes: byteCount }), { most: 16 }),
});
export type Hardware = z.infer<typeof hardwareSchema>;

/** Other names that a card tells of one model. */
export const maxModelAliases = 8;

/** A whole model that a peer can serve sections of. */
export const heldModelSchema = z.object({
  model: sha256Schema,
  /** Digest of its encoded manifest. */
  manifest: sha256Schema,
  name: z.string().min(1).max(limits.maxNameLength),
  /** What else its holder knows it as, such as the catalog's names for it. Case does not matter. Default none. */
  aliases: arraySchema(z.string().min(1).max(limits.maxNameLength), { most: maxModelAliases }).optional(),
  bytes: byteCount,
  /** Why it can't be deployed, in words that follow its name; left out for models that can. Listing it would mislead. */
  unusable: shortText.optional(),
});
export type HeldModel = z.infer<typeof heldModelSchema>;

/** Longest that a card may say something takes: an hour. */
const maxMilliseconds = 3_600_000;
const milliseconds = z.number().nonnegative().max(maxMilliseconds);

/** What a stage was measured to take, right after it was loaded, with an empty cache and an idle machine. */
export const stageSpeedSchema = z.object({
  /** One row through one layer. */
  decodeMsPerLayer: milliseconds,
  /** One of many rows through one layer. */
  prefillMsPerTokenPerLayer: milliseconds,
  /** Un-embedding one row and drawing a token; 0 on stages other than the tail. */
  headMs: milliseconds,
});
export type StageSpeed = z.infer<typeof stageSpeedSchema>;

/** What a member measured of its way to another one. */
export const linkSchema = z.object({
  /** The other end. */
  peer: peerIdSchema,
  /** From a small frame to its answer, median of several. */
  roundTripMs: milliseconds,
  /** Towards the other end, in one stream, as ring frames go. */
  bytesPerSecond: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** Milliseconds since 1970, by the clock of who measured. */
  measuredAt: z.number().int().nonnegative(),
});
export type Link = z.infer<typeof linkSchema>;

/** Links that one card tells of: few enough to leave room for models and stages. */
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
   * Memory that it takes once it is loaded: weights, KV cache and an estimate for compute buffers. Free memory does not
   * tell, since mapped weights can be dropped and so count as free. 0 from peers that do not say.
   */
  bytes: byteCount.int().default(0),
  /** Sequences being generated now, and requests waiting for a free one. Both 0 on stages other than the lead. */
  active: z.number().int().nonnegative(),
  queued: z.number().int().nonnegative(),
  /** Left out until the stage is loaded, and by peers that do not measure. */
  speed: stageSpeedSchema.optional(),
});
export type HeldStage = z.infer<typeof heldStageSchema>;

/** What a member tells all others about itself. */
export const cardSchema = z.object({
  peer: peerIdSchema,
  /** Grows with every card of this peer, also across restarts: milliseconds since 1970, bumped when needed. */
  version: z.number().int().nonnegative(),
  roles: arraySchema(roleSchema, { least: 1, most: 3 }),
  /** Whether it holds the mesh's authority, and so renews certificates. Others that say so can sign none. */
  authority: z.boolean().optional(),
  /** Those of its certificate: whoever receives the card takes them from there, whatever the card says. */
  labels: labelsSchema.optional(),
  /** Host name or what its owner calls it. */
  name: shortText,
  software: z.string().max(64),
  /** Members that it had a connection to when it sent this: who has one to everybody needs no card passed on. */
  connected: z.number().int().nonnegative().max(65_535).optional(),
  /** Multiaddrs where it can be dialled. */
  addresses: arraySchema(z.string().max(256), { most: limits.maxAddresses }),
  hardware: hardwareSchema.optional(),
  models: arraySchema(heldModelSchema, { most: 256 }),
  stages: arraySchema(heldStageSchema, { most: limits.maxStages }),
  /** To other serving members, measured while both were idle. Left out by members that do not measure. */
  links: arraySchema(linkSchema, { most: maxCardLinks }).optional(),
});
export type Card = z.infer<typeof cardSchema>;

/** A card as it travels: the frame's payload is the encoded card, so that the signed bytes are the sent bytes. */
export const signedCardSchema = z.object({
  type: z.literal('card'),
  /** Its member's certificate, since most readers have a card by way of others. */
  certificate: signedCertificateSchema,
  /** Ed25519 signature over `cardSignatureContext` followed by the payload, by the key inside the card's peer id. */
  signature: bytesSchema({ exactly: 64 }),
});
export const cardSignatureContext = 'skein-card-1:';
