export { addedCards } from './added-machines.ts';
export { planWithDefaultContext } from './default-context.ts';
export { plan, planWithAlternatives, type PlanSnapshot, type PlanWithAlternatives } from './plan.ts';
export type { Plan, PlannedStage } from './planned.ts';
export { usablePeers, type PlacedStage } from './usable-peers.ts';
