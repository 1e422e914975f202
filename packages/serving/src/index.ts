export { explainMissing, findModel, stillComing, type ModelView } from './catalog/find-model.ts';
export { meshCatalog, type CatalogModel } from './catalog/mesh-catalog.ts';
export { answerEvents } from './conversation/answer-events.ts';
export { EnginesAtRisk } from './generation/engines-at-risk.ts';
export {
  generate,
  type GenerateOptions,
  type GenerationDeadlines,
  type GenerationUpdate,
} from './generation/generate.ts';
export { GenerationRun, type FailedAttempt, type ReplicaSource } from './generation/generation-run.ts';
export { Transcript } from './generation/transcript.ts';
export {
  chooseReplica,
  type Candidate,
  type Choice,
  type ChoiceReason,
  type RoutedRequest,
} from './routing/choose-replica.ts';
export { Replicas, type Attempt, type ChosenReplica, type ReplicaQuery } from './routing/replicas.ts';
export { PromptDigests } from './routing/prompt-digests.ts';
export type { Route } from './routing/route.ts';
