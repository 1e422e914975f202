export type { DeploymentRoute, DeployRequest } from './deploy-request.ts';
export {
  Deployments,
  type DeploymentsComponents,
  type DeploymentsOptions,
  type DeploymentTimeouts,
  type EnsureOptions,
  type UndeployOptions,
} from './deployments.ts';
