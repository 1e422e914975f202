export { createCoordinator, type Coordinator, type CoordinatorOptions } from './coordinator.ts';
export {
  Deployments,
  type DeploymentRoute,
  type DeploymentsOptions,
  type DeploymentState,
  type DeploymentStatus,
  type DeployRequest,
  type StageStatus,
  type StageTimeouts,
} from './deployments/index.ts';
export { plan, type Plan, type PlannedStage, type PlanRequest, type PlanSnapshot } from './planner/index.ts';
