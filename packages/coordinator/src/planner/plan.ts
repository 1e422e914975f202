import { formatBytes, limits, type Block, type Card, type ModelManifest } from '@skein/protocol';

import { doesNotFit, noPeers, splitUnsupported } from './errors.ts';
import { maximumStages, splitLayers } from './split-layers.ts';
import { stageMemory, type StageMemory } from './stage-memory.ts';
import type { PlacedStage } from './usable-bytes.ts';
import { usablePeers, type UsablePeer } from './usable-peers.ts';

/** What is known when planning: nothing else enters a plan. */
export interface PlanSnapshot {
  readonly cards: readonly Card[];
  readonly manifest: ModelManifest;
  /** Stages that the coordinator has put on peers, whether cards show them or not. None by default. */
  readonly placed?: readonly PlacedStage[];
}

export interface PlanRequest {
  /** Tokens of KV cache, shared by all sequences of the replica. */
  readonly contextTokens: number;
  /** Stages to use, at least 1. Left out: one if the model fits on a peer, else the fewest that fit. */
  readonly stages?: number | undefined;
}

export interface PlannedStage {
  readonly peer: string;
  readonly block: Block;
  /** Estimated memory, in bytes. */
  readonly bytes: number;
}

/** Where the stages of one replica go, in pipeline order: the first is the lead, the last the tail. */
export interface Plan {
  readonly stages: readonly PlannedStage[];
  /** One line for people: what was decided, and from which numbers. */
  readonly explanation: string;
}

/**
 * Decides which peers hold which layers of one replica. Pure: equal arguments, equal plans.
 *
 * @throws SkeinError `no-peers` without enough usable peers, `does-not-fit` with the numbers and what would help,
 * `split-unsupported` when more stages are asked for than the model can be cut into
 */
export function plan(snapshot: PlanSnapshot, request: PlanRequest): Plan {
  const { manifest, cards, placed = [] } = snapshot;
  const { shape, name } = manifest;
  const { contextTokens, stages } = request;
  const peers = usablePeers(cards, { model: manifest.model, placed });
  const memory = stageMemory(manifest, contextTokens);
  const neededBytes = memory({ from: 0, to: shape.layers });
  const failure = { name, neededBytes, peers, contextTokens };
  if (peers.length < (stages ?? 1)) throw noPeers(name, stages ?? 1, peers.length);

  if (stages === undefined || stages === 1) {
    const peer = wholeModelPeer(peers, neededBytes);
    if (peer !== undefined) return planWhole(peer, { layers: shape.layers, neededBytes });
    if (stages === 1) throw doesNotFit(failure, { stages });
  }
  if (!shape.split.allowed) {
    if (stages === undefined) throw doesNotFit(failure, { noSplitReason: shape.split.reason });
    throw splitUnsupported(name, shape.split.reason);
  }

  const { multiple } = shape.split;
  const most = Math.min(maximumStages(shape.layers, multiple), limits.maxStages);
  if (stages !== undefined && stages > most) {
    throw splitUnsupported(name, `its ${shape.layers} layers make ${most} stages at most, not ${stages}`);
  }
  const greatestCount = stages ?? Math.min(peers.length, most);
  for (let count = stages ?? 2; count <= greatestCount; count += 1) {
    const chosen = peers.slice(0, count);
    // Splitting never takes less than the whole: no need to try every order to know that it can't fit.
    if (chosen.reduce((sum, peer) => sum + peer.freeBytes, 0) < neededBytes) continue;
    const split = splitOver(chosen, { layers: shape.layers, multiple, memory });
    if (split !== undefined) return split;
  }
  throw doesNotFit(failure, stages === undefined ? {} : { stages });
}

/**
 * Of the peers with room for all of it: one that does not serve the model yet, since a second replica beside the first
 * adds no speed; among those, one that holds it already; among those, the one with the most free memory.
 */
function wholeModelPeer(peers: readonly UsablePeer[], neededBytes: number): UsablePeer | undefined {
  const roomy = peers.filter((peer) => peer.freeBytes >= neededBytes);
  const unused = roomy.filter((peer) => !peer.servesModel);
  const candidates = unused.length > 0 ? unused : roomy;
  return candidates.find((peer) => peer.holdsModel) ?? candidates[0];
}

function planWhole(peer: UsablePeer, { layers, neededBytes }: { layers: number; neededBytes: number }): Plan {
  const holds = peer.holdsModel ? 'holds the model and ' : '';
  return {
    stages: [{ peer: peer.peer, block: { from: 0, to: layers }, bytes: neededBytes }],
    explanation: `not split: ${peer.name} ${holds}has ${formatBytes(peer.freeBytes)} free of ${formatBytes(neededBytes)} needed`,
  };
}

function splitOver(
  peers: readonly UsablePeer[],
  model: { layers: number; multiple: number; memory: StageMemory },
): Plan | undefined {
  for (const order of orders(peers)) {
    const blocks = splitLayers({ ...model, freeBytes: order.map((peer) => peer.freeBytes) });
    if (blocks === undefined) continue;
    const placed = order.flatMap((peer, index) => {
      const block = blocks[index];
      return block === undefined ? [] : [{ peer, block, bytes: model.memory(block) }];
    });
    const parts = placed.map(
      ({ peer, block, bytes }) =>
        `layers ${block.from}-${block.to - 1} on ${peer.name} (${formatBytes(bytes)} of ${formatBytes(peer.freeBytes)} free)`,
    );
    return {
      stages: placed.map(({ peer, block, bytes }) => ({ peer: peer.peer, block, bytes })),
      explanation: `split in proportion to free memory: ${parts.join(', ')}`,
    };
  }
  return undefined;
}

/**
 * Pipeline orders worth trying: as given first, then every other choice of the two ends. The lead holds the token
 * embeddings and the tail the output matrix; between them layers are alike, so the order there does not matter.
 */
function* orders(peers: readonly UsablePeer[]): Generator<readonly UsablePeer[]> {
  yield peers;
  for (const lead of peers) {
    for (const tail of peers) {
      if (lead === tail) continue;
      yield [lead, ...peers.filter((peer) => peer !== lead && peer !== tail), tail];
    }
  }
}
