import { isSkeinError, type Block } from '@skein/protocol';

import { stageMemory } from '../../../packages/coordinator/src/planner/block-costs.ts';
import { linksOf } from '../../../packages/coordinator/src/planner/performance/links.ts';
import { plan } from '../../../packages/coordinator/src/planner/plan.ts';
import {
  usablePeers,
  type PlacedStage,
  type UsablePeer,
} from '../../../packages/coordinator/src/planner/usable-peers.ts';
import type { Office } from './offices.ts';

/** The stages of a replica, the lead first. */
export type Placement = readonly { readonly peer: string; readonly block: Block }[];

/** A way to place as many replicas of a model as there is room for. */
export interface Placer {
  readonly name: string;
  readonly place: (office: Office) => readonly Placement[];
}

/** Most replicas that are placed: one for each machine. */
const mostReplicas = 8;
/** Round trip from which Mesh-LLM leaves a machine out, in milliseconds. */
const mostRoundTripMs = 80;

/** Skein's planner, asked for one replica after the other until there is no room or no machine without one. */
function placeBySpeed({ cards, manifest, spec }: Office): readonly Placement[] {
  const placed: PlacedStage[] = [];
  const replicas: Placement[] = [];
  while (replicas.length < mostReplicas) {
    try {
      const { stages } = plan({ cards, manifest, placed }, spec);
      // A machine's second replica shares its speed with the first one.
      if (stages.some(({ peer }) => placed.some((stage) => stage.peer === peer))) break;
      const deployment = `deployment-${replicas.length}`;
      for (const [stage, { peer, bytes }] of stages.entries()) {
        placed.push({ peer, deployment, model: manifest.model, stage, bytes });
      }
      replicas.push(stages);
    } catch (error) {
      if (isSkeinError(error)) break;
      throw error;
    }
  }
  return replicas;
}

/** exo's: one replica over all machines, each with a share of the layers as large as its share of the memory. */
function placeByMemory(office: Office): readonly Placement[] {
  return inProportion(peersOf(office), office);
}

/**
 * Mesh-LLM's: machines in the order of their round trips, then of their memory, until the model fits on them; with layers
 * in proportion to their memory. One that the whole model fits on is not split with others. Then the same with the rest.
 */
function placeByRoundTrip(office: Office): readonly Placement[] {
  const linkOf = linksOf(office.cards);
  let left = peersOf(office);
  const replicas: Placement[] = [];
  while (replicas.length < mostReplicas) {
    const [lead] = left;
    if (lead === undefined) break;
    const roundTripMs = (peer: UsablePeer): number => (peer === lead ? 0 : linkOf(lead.peer, peer.peer).roundTripMs);
    const near = left
      .filter((peer) => roundTripMs(peer) < mostRoundTripMs)
      .toSorted((one, other) => roundTripMs(one) - roundTripMs(other) || other.freeBytes - one.freeBytes);
    const count = near.findIndex((_, index) => inProportion(near.slice(0, index + 1), office).length > 0) + 1;
    if (count === 0) break;
    replicas.push(...inProportion(near.slice(0, count), office));
    left = left.filter((peer) => !near.slice(0, count).includes(peer));
  }
  return replicas;
}

/** Returns the machines of an office, those with most memory first. */
function peersOf({ cards, manifest }: Office): readonly UsablePeer[] {
  return usablePeers(cards, { model: manifest.model, placed: [] });
}

/** Splits a model over machines in proportion to their memory. Returns nothing where a block does not fit on its machine. */
function inProportion(peers: readonly UsablePeer[], { manifest, spec }: Office): readonly Placement[] {
  const { layers } = manifest.shape;
  const all = peers.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const memory = stageMemory(manifest, spec);
  const stages: { peer: string; block: Block }[] = [];
  let [before, from] = [0, 0];
  for (const { peer, freeBytes, microBatchRows } of peers) {
    before += freeBytes;
    const to = Math.round((layers * before) / all);
    if (to > from) {
      if (memory({ from, to }, microBatchRows) > freeBytes) return [];
      stages.push({ peer, block: { from, to } });
    }
    from = to;
  }
  return [stages];
}

/** The placers that are compared. */
export const placers: readonly Placer[] = [
  { name: 'exo (by memory)', place: placeByMemory },
  { name: 'Mesh-LLM (round trip, memory)', place: placeByRoundTrip },
  { name: 'Skein', place: placeBySpeed },
];
