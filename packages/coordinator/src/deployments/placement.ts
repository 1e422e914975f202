import { isSkeinError, mayFitWithLess, plannedSpec, type DeploymentStatus, type PlannedSpec } from '@skein/protocol';

import { plan, type PlacedStage, type Plan, type PlanSnapshot } from '../planner/index.ts';
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
 * @param contextTokens most tokens of a context that the spec leaves out. Default 4096
 * @throws SkeinError the planner's error for the whole spec
 */
export function placeDeployment(
  { spec, isReplacement }: Pick<DesiredDeployment, 'spec' | 'isReplacement'>,
  snapshot: PlanSnapshot,
  contextTokens?: number,
): Placement {
  const asItFits = { ...spec, stages: undefined, layers: undefined };
  const lesser = isReplacement ? [asItFits, { ...asItFits, contextTokens: undefined }] : [];
  let failure: unknown;
  for (const candidate of [spec, ...lesser]) {
    const planned = plannedSpec(candidate, snapshot.manifest.shape, contextTokens);
    try {
      const placed = plan(snapshot, planned);
      return { plan: placed, spec: { ...planned, microBatchRows: placed.microBatchRows } };
    } catch (error) {
      failure ??= error;
      if (!isSkeinError(error) || !mayFitWithLess(error.code)) break;
    }
  }
  throw failure;
}

/** Returns the stages of deployments that hold memory or are about to, which cards may not show yet. */
export function placedStages(deployments: readonly DeploymentStatus[]): readonly PlacedStage[] {
  return deployments
    .filter(({ state }) => state !== 'failed' && state !== 'closed')
    .flatMap(({ id, stages }) =>
      stages.map(({ peer, plannedBytes, state }, stage) => ({
        peer,
        deployment: id,
        stage,
        bytes: plannedBytes,
        isLoading: state === 'loading',
      })),
    );
}
