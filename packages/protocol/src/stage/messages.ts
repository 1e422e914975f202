import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { plannedSpecSchema } from '../deployment/spec.ts';
import { wireErrorSchema } from '../errors/skein-error.ts';
import { deploymentIdSchema, peerIdSchema, sha256Schema } from '../ids.ts';
import { leaseSchema } from '../lease/lease.ts';
import { limits } from '../limits.ts';
import { stagePlacementSchema } from './placement.ts';

const layer = z.number().int().nonnegative().max(limits.maxLayers);

/** Layers `from` up to, not including, `to`. */
export const blockSchema = z
  .object({ from: layer, to: layer })
  .refine((block) => block.from < block.to, { message: 'a block holds at least one layer' });
export type Block = z.infer<typeof blockSchema>;

const stageIndex = z
  .number()
  .int()
  .nonnegative()
  .max(limits.maxStages - 1);
const stageCount = z.number().int().positive().max(limits.maxStages);

/** Longest grace time of a stage, in milliseconds: a day. */
const maxGraceMs = 86_400_000;

/**
 * A coordinator's command to a peer: load this stage and hold it until it is told `stage-unload`, and for the grace time
 * when the stream ends without that. First frame of a `stage` stream.
 */
export const stageLoadSchema = z
  .object({
    type: z.literal('stage-load'),
    deployment: deploymentIdSchema,
    /** The coordinator's lease. Left out by coordinators that know of none; a peer that has accepted one refuses them. */
    lease: leaseSchema.optional(),
    /** SHA-256 of the encoded manifest; every section is checked against the manifest with this digest. */
    manifest: sha256Schema,
    /** Name under which the model is offered. */
    name: z.string().min(1).max(limits.maxNameLength),
    stage: stageIndex,
    stages: stageCount,
    block: blockSchema,
    /**
     * Peer id of the holder of the stage before, round the ring: no other peer may open the ring stream. Left out when
     * there is one stage.
     */
    previous: peerIdSchema.optional(),
    /** Members that hold the model, in the order in which to try them. */
    sources: arraySchema(peerIdSchema, { most: limits.maxStages }),
    /** The deployment's spec, which names the model. */
    spec: plannedSpecSchema,
    /**
     * Time for which the stage is held without a coordinator, once it serves, in milliseconds. Default: none, as
     * coordinators that never attach expect.
     */
    graceMs: z.number().int().nonnegative().max(maxGraceMs).optional(),
    /** Decode speed that the coordinator expects of one stream. The lead compares it with what it measures. */
    predictedTokensPerSecond: z.number().positive().max(1e6).optional(),
    /**
     * Time for which the stage waits, once it served and a neighbour was lost, for its coordinator to close the ring anew,
     * in milliseconds. Default: none, and it ends with `stage-lost`.
     */
    rejoinMs: z.number().int().nonnegative().max(maxGraceMs).optional(),
    /**
     * Whether its replica is a standby, which takes requests where no other one of its model may: the lead says so on its
     * card, until it is told `stage-serve`. Default: false.
     */
    standby: z.boolean().optional(),
  })
  .refine((load) => load.stage < load.stages, { message: 'stage must be less than stages' });
export type StageLoad = z.infer<typeof stageLoadSchema>;

/**
 * A coordinator's command to a peer: go on holding a stage that serves, for this coordinator, as if it had loaded it.
 * First frame of a `stage` stream. The coordinator that held it before is told, and lets go. Answered like the load:
 * `stage-ready`, then `stage-connected` where there are several stages.
 */
export const stageAttachSchema = z.object({
  type: z.literal('stage-attach'),
  deployment: deploymentIdSchema,
  /** As in {@link stageLoadSchema}. */
  lease: leaseSchema.optional(),
  stage: stageIndex,
});
export type StageAttach = z.infer<typeof stageAttachSchema>;

/**
 * A coordinator's command to a peer: keep memory free for a stage of a pipeline, until the stage is loaded on another
 * stream, this stream ends, or ten seconds have passed. First frame of a `stage` stream; answered by `stage-reserved`.
 */
export const stageReserveSchema = z.object({
  type: z.literal('stage-reserve'),
  deployment: deploymentIdSchema,
  stage: stageIndex,
  /** Memory that the stage is planned to take. */
  bytes: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** As in {@link stageLoadSchema}. */
  lease: leaseSchema.optional(),
});
export type StageReserve = z.infer<typeof stageReserveSchema>;

/** The first frame of a `stage` stream. */
export const stageOpeningSchema = z.discriminatedUnion('type', [
  stageLoadSchema,
  stageAttachSchema,
  stageReserveSchema,
]);

/**
 * A coordinator's command to a peer, once all stages are ready: open the ring stream to the next stage's peer. It comes
 * again when the ring is closed anew.
 */
const stageConnectSchema = z.object({ type: z.literal('stage-connect'), next: peerIdSchema });
export type StageConnect = z.infer<typeof stageConnectSchema>;

/**
 * A coordinator's command to a stage that waits for its ring to be closed anew, or has not noticed yet that it was
 * broken: let go of both neighbours, and take the ring stream from this peer from now on. Answered by `stage-parted`.
 */
const stagePartSchema = z.object({ type: z.literal('stage-part'), previous: peerIdSchema });
export type StagePart = z.infer<typeof stagePartSchema>;

/** Longest time that generations may get to leave a lead, in milliseconds. */
const maxLeavingMs = 600_000;

/**
 * A coordinator's command to the lead of a pipeline that serves: accept no more generations, and report how many still
 * run. It may be sent again, to hand over what runs.
 */
const stageDrainSchema = z.object({
  type: z.literal('stage-drain'),
  /** Whether generations that other leads can continue end at once, with `handed-over`. Default: false. */
  handOver: z.boolean().optional(),
  /**
   * Time that those get to leave whose callers hear of it, in milliseconds: they end when it is over. Default: none, they end
   * at once.
   */
  withinMs: z.number().int().nonnegative().max(maxLeavingMs).optional(),
});
export type StageDrain = z.infer<typeof stageDrainSchema>;

/**
 * A coordinator's command to the lead of a standby, which its card has shown: it takes requests like any other replica from
 * now on. Not answered.
 */
const stageServeSchema = z.object({ type: z.literal('stage-serve') });

/** A coordinator's command on a `stage` stream after `stage-load` or `stage-attach`. */
export const stageCommandSchema = z.discriminatedUnion('type', [
  stageConnectSchema,
  stagePartSchema,
  stageDrainSchema,
  stageServeSchema,
  /** Command to end the stage. The peer ends the stream once it has released it. */
  z.object({ type: z.literal('stage-unload') }),
]);
export type StageCommand = z.infer<typeof stageCommandSchema>;

export const stagePhaseSchema = z.enum(['fetch', 'cut', 'load']);
export type StagePhase = z.infer<typeof stagePhaseSchema>;

/**
 * A peer's report to the coordinator on a `stage` stream. After `stage-failed` the stream ends and nothing of the stage
 * is left.
 */
export const stageEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('stage-progress'),
    phase: stagePhaseSchema,
    doneBytes: z.number().nonnegative(),
    totalBytes: z.number().nonnegative(),
  }),
  z.object({
    type: z.literal('stage-ready'),
    /** `cpu`, `cuda`, `vulkan` or `metal`. */
    backend: z.string().max(32),
    /** Bytes of model sections that came over the mesh for this load. 0: all was on disk. */
    fetchedBytes: z.number().int().nonnegative(),
    /** Size of the loaded file: the stage file or the whole model. */
    fileBytes: z.number().int().nonnegative(),
    /** Place of the stage in memory. Left out by peers that do not say. */
    placement: stagePlacementSchema.optional(),
  }),
  /** Answer to `stage-reserve`. */
  z.object({ type: z.literal('stage-reserved') }),
  z.object({ type: z.literal('stage-connected') }),
  /**
   * The stage has no neighbours on the ring any more, and waits for `rejoinMs`. With `error` a neighbour was lost; without,
   * this answers `stage-part`.
   */
  z.object({ type: z.literal('stage-parted'), error: wireErrorSchema.optional() }),
  /** Answer to `stage-drain`, at once and whenever `running` changes: generations that the engine has not ended yet. */
  z.object({ type: z.literal('stage-draining'), running: z.number().int().nonnegative() }),
  z.object({ type: z.literal('stage-failed'), error: wireErrorSchema }),
]);
export type StageEvent = z.infer<typeof stageEventSchema>;

/**
 * A peer's opening frame to the next stage's peer on a `ring` stream. After the answer the stream carries ring messages
 * only.
 */
export const ringOpenSchema = z.object({
  type: z.literal('ring-open'),
  deployment: deploymentIdSchema,
  /** Stage that the receiver holds. */
  stage: stageIndex,
});
export type RingOpen = z.infer<typeof ringOpenSchema>;

export const ringOpenAnswerSchema = z.object({ type: z.literal('ring-accepted') });
