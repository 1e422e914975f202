import type { DeploymentStatus } from '@skein/protocol';

import type { PlacedStage } from '../planner/index.ts';

/** Lists the stages of our deployments, for the planner, which can't wait until cards show them. */
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
