import type { DeploymentState, DeploymentStatus } from '@skein/protocol';

import type { DeploymentEvent } from './events.ts';

/** Makes the log's event for a change of a deployment; undefined for a change that is not logged. */
export function deploymentEvent(
  { id, name, model, state, stages, error }: DeploymentStatus,
  before: DeploymentState,
): DeploymentEvent | undefined {
  const change = changeOf(before, state);
  if (change === undefined) return undefined;
  const code = error?.code ?? change.error;
  return {
    type: 'deployment',
    action: change.action,
    deployment: id,
    model: name,
    sha256: model,
    stages: stages.map(({ peer, block }) => ({ peer, ...block })),
    ...(code !== undefined && { error: code }),
  };
}

function changeOf(
  before: DeploymentState,
  state: DeploymentState,
): { readonly action: DeploymentEvent['action']; readonly error?: string } | undefined {
  if (before === state) return undefined;
  switch (state) {
    case 'ready':
      return { action: 'deployed' };
    case 'failed':
      return { action: hasServed(before) ? 'lost' : 'failed' };
    case 'closed':
      if (hasServed(before)) return { action: 'undeployed' };
      // One that has failed was told of then.
      return before === 'failed' ? undefined : { action: 'failed', error: 'aborted' };
    case 'waiting':
    case 'loading':
    case 'connecting':
    case 'draining':
      return undefined;
  }
}

function hasServed(before: DeploymentState): boolean {
  return before === 'ready' || before === 'draining';
}
