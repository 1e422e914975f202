export { onAbort } from './abort/on-abort.ts';
export {
  objectives,
  deviceMemorySchema,
  predictionSchema,
  type DeploymentState,
  type DeploymentStatus,
  type DeviceMemory,
  type Prediction,
  type StageStatus,
} from './admin/deployments.ts';
export type { DrainMove, DrainStatus } from './admin/drains.ts';
export type { AddedMachine, DescribedPlan, PlanAnswer, Planned, PlanRequest, PlansTogether } from './admin/plans.ts';
export type { MemberDescription } from './admin/membership.ts';
export {
  placeRequest,
  type AdminRoute,
  type AnswerOf,
  type AnswerRoute,
  type AnswerTo,
  type Callers,
  type EventOf,
  type EventRoute,
  type EventTo,
  type RequestOf,
  type RequestTo,
} from './admin/route.ts';
export { adminRoutes, type AdminRouteName, type AdminRoutes } from './admin/routes.ts';
export { type AdmissionStatus, type DaemonStatus, type MeshStatus } from './admin/status.ts';
export { arraySchema } from './codec/array-schema.ts';
export { ChunkQueue } from './codec/chunk-queue.ts';
export { decodeValue, encodeFrame, encodeFrameHead, encodeValue, type Frame } from './codec/frame.ts';
export { FrameParser } from './codec/frame-parser.ts';
export { parseHeader } from './codec/parse-header.ts';
export {
  cacheTypeSchema,
  defaultContextTokens,
  deploymentDefaults,
  deploymentFlags,
  deploymentRequestSchema,
  deploymentSpec,
  deploymentSpecSchema,
  microBatchRows,
  plannedSpec,
  plannedSpecSchema,
  ropeScalingSchema,
  type RopeScaling,
  type CacheType,
  type DeploymentFlag,
  type DeploymentOptions,
  type DeploymentRequest,
  type DeploymentSpec,
  type PlannedSpec,
} from './deployment/spec.ts';
export {
  defaultIdleMs,
  describeScaling,
  idleBoundsMs,
  maxReplicas,
  maxStandbys,
  scalingOf,
  scalingSchema,
  type ReplicaRange,
  type Scaling,
  type ScalingRequest,
} from './deployment/scaling.ts';
export {
  metadataOverrideSchema,
  parseMetadataOverride,
  type MetadataOverride,
} from './deployment/metadata-override.ts';
export type { AnswerEvent } from './conversation/answer-event.ts';
export {
  fromText,
  messageSchema,
  textOf,
  type Message,
  type MessagePart,
  type TextMessage,
} from './conversation/message.ts';
export { errorCodes, isErrorCode, mayFitWithLess, retryOf, type ErrorCode, type Retry } from './errors/codes.ts';
export { hasCode } from './errors/has-code.ts';
export { invariant } from './errors/invariant.ts';
export {
  asSkeinError,
  fromWireError,
  isSkeinError,
  SkeinError,
  toWireError,
  wireErrorSchema,
  type ErrorDetails,
  type WireError,
} from './errors/skein-error.ts';
export { streamErrorSchema } from './errors/stream-error.ts';
export { formatBytes } from './format-bytes.ts';
export { formatDuration, formatMoment } from './format-time.ts';
export {
  finishReasonSchema,
  generationEventSchema,
  maxFailovers,
  readAlongEventSchema,
  usageSchema,
  type DescribedLogprobs,
  type FinishReason,
  type GenerationEvent,
  type GenerationTimings,
  type Logprobs,
  type ReadAlongEvent,
  type Usage,
} from './generation/events.ts';
export {
  packPrompt,
  packPromptInSteps,
  promptTypeSchema,
  unpackPrompt,
  type PackedPrompt,
} from './generation/packed-prompt.ts';
export { promptSchema, tokensSchema, type Prompt } from './generation/prompt.ts';
export {
  generationRequestSchema,
  latestTime,
  readAlongRequestSchema,
  samplingSchema,
  type GenerationInput,
  type GenerationRequest,
  type ReadAlongInput,
  type ReadAlongRequest,
  type Resume,
  type Sampling,
} from './generation/request.ts';
export { deploymentIdSchema, peerIdSchema, requestIdSchema, sha256Schema } from './ids.ts';
export {
  claimedLease,
  compareLeases,
  greaterLease,
  knownLeaseSchema,
  leaseSchema,
  maxEpoch,
  maxEpochStep,
  mostBelievableEpoch,
  type KnownLease,
  type Lease,
  type LeaseTelling,
} from './lease/lease.ts';
export {
  compareChanges,
  desiredAnswerSchema,
  desiredChangeSchema,
  desiredRequestSchema,
  maxDesiredCopyBytes,
  type DesiredAnswer,
  type DesiredChange,
  type DesiredRequest,
} from './lease/desired-copy.ts';
export {
  maxFailedDeployments,
  placeAnswerSchema,
  placeRequestSchema,
  type PlaceAnswer,
  type PlaceRequest,
} from './lease/placing.ts';
export { limits } from './limits.ts';
export { silentLogger, type Logger } from './logger.ts';
export { aliveSchema, maxDeadAfterMs, type Alive } from './mesh/alive.ts';
export {
  cardSchema,
  freshCardRequestSchema,
  hardwareSchema,
  cardSignatureContext,
  maxCardDoubts,
  maxDoubtedPeers,
  maxTakenDoubts,
  maxCardLinks,
  maxMeasuredSpeeds,
  maxModelAliases,
  measuredSpeedSchema,
  ratioBounds,
  speedRatiosSchema,
  memberDigestBytes,
  signedCardSchema,
  type Card,
  type FreshCardRequest,
  type Hardware,
  type HeldModel,
  type HeldStage,
  type Link,
  type MeasuredSpeed,
  type SpeedRatios,
  type StageSpeed,
} from './mesh/card.ts';
export {
  packDigests,
  prefixesAskSchema,
  prefixesEventSchema,
  prefixLimits,
  unpackDigests,
  type PrefixDelta,
  type PrefixesAsk,
  type PrefixesEvent,
} from './generation/prefixes.ts';
export { drainAnswerSchema, drainRequestSchema, type DrainAnswer, type DrainRequest } from './mesh/drain.ts';
export {
  certificateSchema,
  certificateSignatureContext,
  labelsSchema,
  meshIdSchema,
  revocationListSchema,
  revocationListSignatureContext,
  revocationsSchema,
  signedCertificateSchema,
  signedRevocationListSchema,
  type Certificate,
  type Labels,
  type RevocationList,
  type Signed,
} from './mesh/certificate.ts';
export { handshakeHelloSchema, handshakeWelcomeSchema } from './mesh/handshake.ts';
export { decodeInvite, encodeInvite, inviteSchema, type Invite } from './mesh/invite.ts';
export {
  clientRequestSchema,
  credentialsSchema,
  inviteSecretBytes,
  joinAnswerSchema,
  joinRequestSchema,
  leaveAnswerSchema,
  leaveRequestSchema,
  renewRequestSchema,
  type JoinAnswer,
  type JoinRequest,
} from './mesh/join.ts';
export { machineName, shortPeer } from './mesh/machine-name.ts';
export {
  measureEchoSchema,
  measureLimits,
  measureProbeSchema,
  type MeasureEcho,
  type MeasureProbe,
} from './mesh/measure.ts';
export { roleSchema, type Role } from './mesh/role.ts';
export { methods, type Method } from './methods.ts';
export {
  expertCountsSchema,
  modelManifestSchema,
  modelShapeSchema,
  type MetadataSection,
  type ModelManifest,
  type ModelShape,
  type Section,
  type SplitRule,
  type TensorSection,
} from './model/manifest.ts';
export { tokenWeights, type TokenWeights, type Weights } from './model/weights.ts';
export { distinctNames, resolveModel, type NamedModel } from './model/resolve-model.ts';
export { check, valueAt, type Checked } from './validation/check.ts';
export { checkJson } from './validation/check-json.ts';
export { explainIssue } from './validation/explain-issue.ts';
export { fieldName } from './validation/field-name.ts';
export { firstIssueOnly } from './validation/first-issue.ts';
export { isolated, Observers, toLog, type Observer, type ObserverErrorSink } from './observers.ts';
export {
  bytesAnswerSchema,
  bytesRequestSchema,
  manifestAnswerSchema,
  manifestRequestSchema,
} from './model/transfer.ts';
export {
  activationsSchema,
  ringMessageSchema,
  stepSchema,
  type Activations,
  type CacheOperation,
  type RingMessage,
  type Sampled,
  type Step,
  type StepEntry,
} from './ring/messages.ts';
export {
  blockSchema,
  ringOpenAnswerSchema,
  ringOpenSchema,
  stageAttachSchema,
  stageCommandSchema,
  stageEventSchema,
  stageLoadSchema,
  stageOpeningSchema,
  stageReserveSchema,
  stagePhaseSchema,
  type Block,
  type RingOpen,
  type StageAttach,
  type StageCommand,
  type StageConnect,
  type StageDrain,
  type StageEvent,
  type StageLoad,
  type StageReserve,
  type StagePart,
  type StagePhase,
} from './stage/messages.ts';
export {
  kvBytes,
  layerCacheBytes,
  layerStateBytes,
  swapTokens,
  type CacheTypes,
  type KvCacheOptions,
} from './stage/memory.ts';
export { expertLayersIn, isExpertTensor, layerExpertBytes } from './stage/experts.ts';
export { maxGpus, stagePlacementSchema, type StagePlacement } from './stage/placement.ts';
export { keptDeviceBytes, memoryRoom, takenBy, type MemoryRoom, type TakenMemory } from './stage/room.ts';
