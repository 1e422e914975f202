export { explainMissing, findModel, stillComing, type ModelView } from './catalog/find-model.ts';
export { meshCatalog, type CatalogModel } from './catalog/mesh-catalog.ts';
export { answerEvents } from './conversation/answer-events.ts';
export { addInterruptions, withInterruptions, type Interruptions } from './generation/answer-times.ts';
export { EnginesAtRisk } from './generation/engines-at-risk.ts';
export {
  generate,
  type GenerateOptions,
  type GenerationDeadlines,
  type GenerationUpdate,
} from './generation/generate.ts';
export { GenerationRun, type FailedAttempt, type ReplicaSource } from './generation/generation-run.ts';
export { readAlong, type ReadAlongOptions } from './generation/read-along.ts';
export { Transcript } from './generation/transcript.ts';
export type { Candidate } from './routing/candidates.ts';
export type { Choice, ChoiceReason, RoutedRequest } from './routing/choose-replica.ts';
export { Replicas, type Attempt, type ChosenReplica, type ReplicaQuery } from './routing/replicas.ts';
export { PrefixFollower } from './routing/prefix-follower.ts';
export type { Route } from './routing/route.ts';
