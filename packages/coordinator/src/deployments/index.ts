export type { DeploymentRoute, DeployRequest } from './deploy-request.ts';
export { Deployments, type DeploymentsComponents, type DeploymentsOptions } from './deployments.ts';
export { findModel, meshModels, type MeshModel } from './held-model.ts';
export type { StageTimeouts } from './stage-link.ts';
export type { DeploymentState, DeploymentStatus, StageStatus } from './status.ts';
