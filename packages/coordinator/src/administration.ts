import type { Mesh } from '@skein/mesh';
import type { DeploymentStatus } from '@skein/protocol';

import type { Admission } from './admission/index.ts';
import type { Placer } from './lease/index.ts';
import type { AdminHandlers } from './http/index.ts';

/** Answers what a coordinator can be asked over HTTP, beside generations. */
export function administrationOf({
  mesh,
  deployments,
  admission,
}: {
  readonly mesh: Mesh;
  readonly deployments: Pick<Placer, 'deploy' | 'drain' | 'list' | 'plan' | 'undeploy' | 'undrain'>;
  readonly admission: Admission;
}): AdminHandlers<'any'> {
  return {
    status: () => ({ ...meshStatus(mesh, deployments.list()), admission: admission.status() }),
    deploy: async ({ unlessServed, wait, replicas, idleMs, pinned, standby, ...request }, { signal, onEvent }) => ({
      deployment: await deployments.deploy(request, {
        signal,
        unlessServed,
        wait,
        scaling: { replicas, idleMs, pinned, standby },
        onProgress: (deployment) => onEvent({ deployment }),
      }),
    }),
    plan: async (request, { signal }) => await deployments.plan(request, signal),
    drain: async ({ peer, force }, { onEvent }) => await deployments.drain(peer, { force, onProgress: onEvent }),
    undrain: async ({ peer }) => {
      await deployments.undrain(peer);
      return {};
    },
    // A caller that leaves cuts no running answer.
    undeploy: async ({ id, now }, { onEvent }) => ({
      deployment: await deployments.undeploy(id, { now, onProgress: (deployment) => onEvent({ deployment }) }),
    }),
  };
}

function meshStatus(mesh: Mesh, deployments: readonly DeploymentStatus[]) {
  const { total, peers } = mesh.traffic();
  return {
    peer: mesh.peerId,
    addresses: mesh.addresses(),
    cards: mesh.cards.snapshot(),
    deployments,
    traffic: { total, peers: Object.fromEntries(peers) },
  };
}
