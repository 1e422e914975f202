export { planWithDefaultContext } from './default-context.ts';
export { plan, type Plan, type PlannedStage, type PlanSnapshot } from './plan.ts';
export type { PlacedStage } from './usable-peers.ts';
