import type { Mesh } from '@skein/mesh';

import type { DeploymentStatus } from './deployments/index.ts';

/** The mesh as `GET /skein/v1/status` shows it, ready for JSON. */
export function meshStatus(mesh: Mesh, deployments: readonly DeploymentStatus[]): object {
  const { total, peers } = mesh.traffic();
  return {
    /** This member. */
    peer: mesh.peerId,
    addresses: mesh.addresses(),
    /** Every member's card, this one's first. */
    cards: mesh.cards.snapshot(),
    /** Those of this coordinator. What others deployed shows in the cards' stages. */
    deployments,
    /** Bytes exchanged by this member: in total, and by peer id. */
    traffic: { total, peers: Object.fromEntries(peers) },
  };
}
