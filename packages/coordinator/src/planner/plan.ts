import { formatBytes, limits, type Block, type Card, type ModelManifest, type PlannedSpec } from '@skein/protocol';

import { balanceLayers, maximumStages } from './balance-layers.ts';
import { decodeWork, type DecodeWork } from './decode-work.ts';
import { doesNotFit, noPeers, splitUnsupported, wrongLayers } from './errors.ts';
import { peerPools } from './peer-pools.ts';
import { stageMemory, type StageMemory } from './stage-memory.ts';
import type { PlacedStage } from './usable-bytes.ts';
import { usablePeers, type UsablePeer } from './usable-peers.ts';

/** The facts of planning: nothing else enters a plan. */
export interface PlanSnapshot {
  readonly cards: readonly Card[];
  readonly manifest: ModelManifest;
  /** Stages that the coordinator has put on peers, whether cards show them or not. Default: none. */
  readonly placed?: readonly PlacedStage[];
}

export interface PlannedStage {
  readonly peer: string;
  readonly block: Block;
  /** Estimated memory, in bytes. */
  readonly bytes: number;
}

/** The peers of one replica's stages, in pipeline order: the first is the lead, the last the tail. */
export interface Plan {
  readonly stages: readonly PlannedStage[];
  /** The decision with its numbers, in one line for people. */
  readonly explanation: string;
}

/**
 * Decides which peers hold which layers of one replica. Pure: equal arguments, equal plans.
 *
 * @throws SkeinError `no-peers` without enough usable peers, `does-not-fit` with the numbers and what would help,
 * `split-unsupported` when more stages are asked for than the model can be cut into, `invalid-request` for layers that
 * are not the model's
 */
export function plan(snapshot: PlanSnapshot, spec: PlannedSpec): Plan {
  const { manifest, cards, placed = [] } = snapshot;
  const { shape, name } = manifest;
  const { contextTokens, layers } = spec;
  const stages = spec.stages ?? layers?.length;
  if (layers !== undefined) checkLayers(layers, { manifest, stages });
  const peers = usablePeers(cards, { model: manifest.model, placed });
  const memory = stageMemory(manifest, spec);
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
  const model = {
    layers: shape.layers,
    multiple,
    memory,
    decodeWork: decodeWork(manifest),
    ends: layers && endsOf(layers),
  };
  const greatestCount = stages ?? Math.min(peers.length, most);
  for (let count = stages ?? 2; count <= greatestCount; count += 1) {
    // Splitting never takes less than the whole: no need to try every order to know that it can't fit.
    if (peers.slice(0, count).reduce((sum, peer) => sum + peer.freeBytes, 0) < neededBytes) continue;
    const split = splitOver(peers, { ...model, stages: count });
    if (split !== undefined) return split;
  }
  throw doesNotFit(failure, stages === undefined ? {} : { stages });
}

function checkLayers(
  layers: readonly number[],
  { manifest, stages }: { manifest: ModelManifest; stages: number | undefined },
): void {
  const { name, shape } = manifest;
  const sum = layers.reduce((total, count) => total + count, 0);
  if (layers.length !== stages) {
    throw wrongLayers(name, `layers for ${layers.length} stages were named, but ${stages} stages asked for`);
  }
  if (layers.some((count) => !Number.isInteger(count) || count < 1)) {
    throw wrongLayers(name, 'each stage needs at least one layer');
  }
  if (sum !== shape.layers)
    throw wrongLayers(name, `${layers.join(' + ')} is ${sum}, but it has ${shape.layers} layers`);
  if (!shape.split.allowed) return;
  const { multiple } = shape.split;
  if (layers.slice(0, -1).some((count) => count % multiple !== 0)) {
    throw wrongLayers(name, `each stage but the last needs a multiple of ${multiple} layers`);
  }
}

/** Returns the layer after the last one of each stage. */
function endsOf(layers: readonly number[]): readonly number[] {
  let end = 0;
  return layers.map((count) => (end += count));
}

/**
 * Chooses among the peers with room for all of it: one that does not serve the model yet, since a second replica beside
 * the first adds no speed; among those, one that holds it already; among those, the one with the most free memory.
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

interface SplitModel {
  readonly layers: number;
  readonly multiple: number;
  readonly stages: number;
  readonly memory: StageMemory;
  readonly decodeWork: DecodeWork;
  readonly ends: readonly number[] | undefined;
}

/** Finds the best split over any of the pools that the peers make; of those in a fixed order the first. */
function splitOver(peers: readonly UsablePeer[], model: SplitModel): Plan | undefined {
  let fastest: { plan: Plan; slowest: number } | undefined;
  for (const pool of peerPools(peers, model.stages)) {
    if (fastest !== undefined && pool.isOrderFixed) break;
    const split = balanceLayers({ ...model, ...pool });
    if (split === undefined) continue;
    const slowest = Math.max(...split.map(({ peer, block }) => model.decodeWork(block) / peer.speed));
    if (fastest !== undefined && fastest.slowest <= slowest) continue;
    const parts = split.map(
      ({ peer, block }) =>
        `layers ${block.from}-${block.to - 1} on ${peer.name} (${formatBytes(model.memory(block))} of ${formatBytes(peer.freeBytes)} free)`,
    );
    const how = model.ends === undefined ? 'so that the slowest stage is as fast as can be' : 'as asked for';
    fastest = {
      slowest,
      plan: {
        stages: split.map(({ peer, block }) => ({ peer: peer.peer, block, bytes: model.memory(block) })),
        explanation: `split ${how}: ${parts.join(', ')}`,
      },
    };
  }
  return fastest?.plan;
}
