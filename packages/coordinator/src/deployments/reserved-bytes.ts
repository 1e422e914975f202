import type { DeploymentStatus } from './status.ts';

/** Bytes by peer id that stages will take which are not loaded yet. What is loaded, the peers' cards have counted. */
export function reservedBytes(deployments: readonly DeploymentStatus[]): ReadonlyMap<string, number> {
  const reserved = new Map<string, number>();
  for (const deployment of deployments) {
    if (deployment.state !== 'loading') continue;
    for (const { peer, plannedBytes, state } of deployment.stages) {
      if (state === 'loading') reserved.set(peer, (reserved.get(peer) ?? 0) + plannedBytes);
    }
  }
  return reserved;
}
