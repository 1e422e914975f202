export { ComingModel } from './coming-model.ts';
export type { DeploymentTimeouts } from './deployment-timeouts.ts';
export type { DrainOptions } from './peer-drains.ts';
export { DesiredFile, type DesiredCopy, type DesiredStore } from './desired-file.ts';
export {
  Deployments,
  type DeploymentRoute,
  type DeploymentsComponents,
  type DeploymentsOptions,
  type DeployOptions,
  type EnsureOptions,
  type UndeployOptions,
} from './deployments.ts';
