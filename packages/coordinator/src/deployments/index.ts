export { ComingModel } from './coming-model.ts';
export {
  Deployments,
  type DeploymentRoute,
  type DeploymentsComponents,
  type DeploymentsOptions,
  type DeploymentTimeouts,
  type DeployOptions,
  type EnsureOptions,
  type UndeployOptions,
} from './deployments.ts';
