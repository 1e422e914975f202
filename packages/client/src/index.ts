export { connect, type ConnectOptions, type HttpOptions, type MeshOptions } from './connect.ts';
export type { CallOptions, SkeinClient } from './client.ts';
export { defaultDeadlines, type Deadlines } from './generation/deadlines.ts';
export {
  Generation,
  type GenerationEnd,
  type GenerationResult,
  type GenerationTimings,
  type Logprobs,
  type TextDelta,
  type TokenLogprob,
} from './generation/generation.ts';
export type { ChatRequest, CompletionRequest, GenerationSettings } from './generation/request.ts';
export type { DeploymentRequest, DrainStatus, PlanAnswer, PlanRequest } from '@skein/protocol';
export { AdminClient, type AdminClientOptions } from './http/admin-client.ts';
export {
  openCoordinator,
  type Coordinator,
  type Deployment,
  type DeployOptions,
  type DrainOptions,
  type UndeployOptions,
} from './http/coordinator.ts';
export type { Fetch } from './http/endpoint.ts';
export type { MeshAccess } from './mesh/create-mesh-transport.ts';
export type { ServedModel } from './transport.ts';
