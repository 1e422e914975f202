export {
  AuditLog,
  decodeKey,
  followEntries,
  lastEntries,
  loggedEventSchema,
  noAudit,
  readEntries,
  verifyAuditLog,
  type AuditEvent,
  type AuditLogOptions,
  type AuditPort,
  type Entry,
  type Head,
  type LoggedEvent,
  type Place,
  type Problem,
  type ProblemKind,
  type ReadEntry,
  type Recovery,
  type Verification,
  type VerifyOptions,
} from './audit/index.ts';
export { createCoordinator, type Coordinator, type CoordinatorOptions } from './coordinator.ts';
export {
  ComingModel,
  Deployments,
  type DeploymentRoute,
  type DeploymentsOptions,
  type DeploymentTimeouts,
  type DeployOptions,
} from './deployments/index.ts';
export { createAppServer, createLocalApp, type AdminHandlers, type LocalAppComponents } from './http/index.ts';
export type { RouterOptions } from './routing/index.ts';
export { plan, type PlacedStage, type Plan, type PlannedStage, type PlanSnapshot } from './planner/index.ts';
