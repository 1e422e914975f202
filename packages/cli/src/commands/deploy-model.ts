import { openCoordinator, type Deployment, type DeploymentRequest } from '@skein/client';
import type { Card } from '@skein/protocol';

import { formatLayers, shortPeer } from '../output/format.ts';
import { deploymentsOf } from '../overview/deployments.ts';
import { createProgress } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/** Deploys a model, with progress on stderr: the bytes of all stages that are in the same phase as the slowest. */
export async function deployModel(
  { url, request }: { readonly url: string; readonly request: DeploymentRequest },
  { stderr, signal }: Pick<CommandContext, 'stderr' | 'signal'>,
): Promise<Deployment> {
  using progress = createProgress(stderr, { signal });
  const onProgress = ({ stages }: Deployment) => {
    for (const phase of ['fetch', 'cut', 'load'] as const) {
      const steps = stages.map((stage) => stage.progress).filter((step) => step?.phase === phase);
      if (steps.length === 0) continue;
      const sum = (key: 'doneBytes' | 'totalBytes') => steps.reduce((total, step) => total + (step?.[key] ?? 0), 0);
      return progress.show({ label: `${phase} layers`, doneBytes: sum('doneBytes'), totalBytes: sum('totalBytes') });
    }
  };
  const deployment = await openCoordinator({ url }).deploy(request, { signal, onProgress });
  progress.complete();
  return deployment;
}

/** Who holds which layers of a deployment, and which of the model's replicas it is. */
export function describeDeployment({ name, model, id, stages }: Deployment, cards: readonly Card[]): string {
  const nameOf = (peer: string) => cards.find((card) => card.peer === peer)?.name ?? 'unknown';
  const lines = stages.map(({ peer, block }) => `  ${formatLayers(block)} on ${nameOf(peer)} (…${shortPeer(peer)})`);
  const others = deploymentsOf(cards).filter((other) => other.model === model && other.isReady && other.id !== id);
  const count =
    others.length === 0
      ? []
      : [`this is replica ${others.length + 1} of ${name}; \`skein undeploy ${id}\` takes it down again`];
  return [`${name} is deployed (${id}):`, ...lines, ...count].join('\n');
}
