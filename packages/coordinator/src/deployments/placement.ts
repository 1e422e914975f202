import {
  isSkeinError,
  mayFitWithLess,
  plannedSpec,
  SkeinError,
  type Card,
  type DeploymentStatus,
  type Labels,
  type PlannedSpec,
} from '@skein/protocol';

import { plan, planWithDefaultContext, type PlacedStage, type Plan, type PlanSnapshot } from '../planner/index.ts';
import type { DesiredDeployment } from './desired-state.ts';

/** A deployment's plan, and the part of its spec that was planned. */
export interface Placement {
  readonly plan: Plan;
  readonly spec: PlannedSpec;
}

/**
 * Plans a deployment. A replacement that does not fit with its spec is planned with as many stages as it fits on, then
 * with the default context, too.
 *
 * @param contextTokens tokens of a context that the spec leaves out, or the model's where they are fewer. Default: as
 *   {@link planWithDefaultContext} decides
 * @throws SkeinError `no-peers` where no machine has the labels of the spec; the planner's error for the whole spec
 */
export function placeDeployment(
  { spec, isReplacement, avoid = [] }: Pick<DesiredDeployment, 'avoid' | 'spec' | 'isReplacement'>,
  mesh: PlanSnapshot,
  contextTokens?: number,
): Placement {
  const snapshot = allowedMachines({ spec, avoid }, mesh);
  const asItFits = { ...spec, stages: undefined, layers: undefined };
  const lesser = isReplacement ? [asItFits, { ...asItFits, contextTokens: undefined }] : [];
  let failure: unknown;
  for (const candidate of [spec, ...lesser]) {
    const { shape } = snapshot.manifest;
    const planned = plannedSpec(candidate, shape, contextTokens);
    const most = Math.min(shape.contextLength, contextTokens ?? Infinity);
    try {
      const placed =
        candidate.contextTokens === undefined
          ? planWithDefaultContext(snapshot, { spec: planned, most })
          : { plan: plan(snapshot, planned), contextTokens: planned.contextTokens };
      const { microBatchRows } = placed.plan;
      return { plan: placed.plan, spec: { ...planned, contextTokens: placed.contextTokens, microBatchRows } };
    } catch (error) {
      failure ??= error;
      if (!isSkeinError(error) || !mayFitWithLess(error.code)) break;
    }
  }
  throw failure;
}

/**
 * Leaves a plan the machines that a deployment may lie on.
 *
 * @throws SkeinError `no-peers` where none has the labels of its spec
 */
export function allowedMachines(
  { spec, avoid = [] }: Pick<DesiredDeployment, 'avoid' | 'spec'>,
  mesh: PlanSnapshot,
): PlanSnapshot {
  const others = avoid.length === 0 ? mesh : beside(mesh, avoid);
  return spec.labels === undefined ? others : among(others, spec.labels);
}

/** Leaves a plan the machines that are none of these. */
function beside(mesh: PlanSnapshot, avoid: readonly string[]): PlanSnapshot {
  const peers = mesh.cards
    .map(({ peer }) => peer)
    .filter((peer) => !avoid.includes(peer) && (mesh.among?.has(peer) ?? true));
  return { ...mesh, among: new Set(peers) };
}

/** Leaves a plan the machines that have all of the labels. */
function among(mesh: PlanSnapshot, labels: Labels): PlanSnapshot {
  const fits = mesh.cards.filter((card) => hasLabels(card, labels));
  const peers = fits.map(({ peer }) => peer).filter((peer) => mesh.among?.has(peer) ?? true);
  if (peers.length > 0) return { ...mesh, among: new Set(peers) };
  const shown = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  throw new SkeinError(
    'no-peers',
    `no machine has the labels that the deployment asks for (${shown}); invite one with \`skein invite --label\`, or ask for others`,
  );
}

/** Tells whether a machine has all of the labels. */
export function hasLabels(card: Card, labels: Labels): boolean {
  return Object.entries(labels).every(([key, value]) => card.labels?.[key] === value);
}

/** Returns the stages of deployments that hold memory or are about to, which cards may not show yet. */
export function placedStages(deployments: readonly DeploymentStatus[]): readonly PlacedStage[] {
  return deployments
    .filter(({ state }) => state !== 'failed' && state !== 'closed')
    .flatMap(({ id, model, stages }) =>
      stages.map(({ peer, plannedBytes }, stage) => ({
        peer,
        deployment: id,
        model,
        stage,
        bytes: plannedBytes,
      })),
    );
}

/** Returns the stages that a placement is about to put on peers, for the plans that follow it. */
export function stagesToLoad(
  { id, spec: { model } }: Pick<DesiredDeployment, 'id' | 'spec'>,
  { plan: { stages } }: Placement,
): readonly PlacedStage[] {
  return stages.map(({ peer, bytes }, stage) => ({ peer, deployment: id, model, stage, bytes }));
}
