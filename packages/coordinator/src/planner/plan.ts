import {
  formatBytes,
  isExpertTensor,
  limits,
  microBatchRows,
  SkeinError,
  type Block,
  type Card,
  type ModelManifest,
  type PlannedSpec,
} from '@skein/protocol';

import { maximumStages, type Balanced } from './balance-layers.ts';
import { decodeWork, stageMemory, type StageMemory } from './block-costs.ts';
import { memoryUses, type MemoryUse } from './memory-uses.ts';
import { bestSplit, type SplitModel } from './split.ts';
import { usablePeers, type PlacedStage, type UsablePeer } from './usable-peers.ts';

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
  /** Bytes that it could take there, in the memory that it was planned for: that of GPUs and experts beside it, or all. */
  readonly roomBytes: number;
}

/** The peers of one replica's stages, in pipeline order: the first is the lead, the last the tail. */
export interface Plan {
  readonly stages: readonly PlannedStage[];
  /** Rows of the largest micro-batch, which all stages take. */
  readonly microBatchRows: number;
  /** The decision with its numbers, in one line for people. */
  readonly explanation: string;
}

/**
 * Decides which peers hold which layers of one replica. Pure: equal arguments, equal plans.
 *
 * @throws SkeinError `no-peers` without enough usable peers, `does-not-fit` with the numbers and what would help,
 * `split-unsupported` when more stages are asked for than the model can be cut into, `invalid-request` for layers that
 * are not the model's, or a windowed cache for a model without windows
 */
export function plan(snapshot: PlanSnapshot, spec: PlannedSpec): Plan {
  const { manifest, cards, placed = [] } = snapshot;
  const { shape } = manifest;
  const { layers } = spec;
  const stages = spec.stages ?? layers?.length;
  if (layers !== undefined) checkLayers(layers, { manifest, stages });
  if (spec.windowedCache === true) checkWindow(manifest);
  if (spec.cpuExpertLayers !== undefined) checkExperts(manifest);
  const peers = usablePeers(cards, { model: manifest.model, placed });
  const memory = stageMemory(manifest, spec);
  const { split } = shape;
  const most = split.allowed ? Math.min(maximumStages(shape.layers, split.multiple), limits.maxStages) : 1;
  const search = {
    stages,
    most,
    neededBytes: memory({ from: 0, to: shape.layers }),
    memory,
    model: {
      layers: shape.layers,
      multiple: split.allowed ? split.multiple : shape.layers,
      decodeWork: decodeWork(manifest),
      ends: layers && endsOf(layers),
    },
  };
  for (const use of memoryUses(peers, manifest, { memory, spec })) {
    const found = findPlan(use, search) ?? findPlan(withSmallBuffers(use), search);
    if (found !== undefined) return found;
  }
  throw noPlan(manifest, { ...search, peers, spec });
}

/** Returns the same use by peers with the micro-batches of a CPU, whose buffers fit where others do not. */
function withSmallBuffers(use: MemoryUse): MemoryUse {
  return { ...use, peers: use.peers.map((peer) => ({ ...peer, microBatchRows: microBatchRows.cpu })) };
}

/** The replica that is looked for: the wanted number of stages, and the most that the model can be cut into. */
interface PlanSearch {
  readonly stages: number | undefined;
  readonly most: number;
  /** Bytes that the whole model takes on one peer, at the least. */
  readonly neededBytes: number;
  readonly memory: StageMemory;
  readonly model: Omit<SplitModel, 'stages' | 'memory'>;
}

/** Finds the plan with the fewest stages for which there is room; undefined when there is none. */
function findPlan(use: MemoryUse, search: PlanSearch): Plan | undefined {
  const { peers, taken, leastBytes } = use;
  const { stages, most, memory, model } = search;
  if (peers.length < (stages ?? 1)) return undefined;
  if (stages === undefined || stages === 1) {
    const block = { from: 0, to: model.layers };
    const peer = wholeModelPeer(peers, (candidate) => taken(block, candidate));
    if (peer !== undefined) return planWhole(peer, { block, memory, use });
  }
  const greatestCount = Math.min(stages ?? peers.length, most);
  for (let count = Math.max(stages ?? 2, 2); count <= greatestCount; count += 1) {
    // Splitting never takes less than the whole: no need to try every order to know that it can't fit.
    if (peers.slice(0, count).reduce((sum, peer) => sum + peer.freeBytes, 0) < leastBytes) continue;
    const split = bestSplit(peers, { ...model, memory: taken, stages: count });
    if (split !== undefined) return planSplit(split, { memory, use, ends: model.ends });
  }
  return undefined;
}

/** Makes the error that says why there is no plan. */
function noPlan(
  { name, shape }: ModelManifest,
  failure: PlanSearch & { readonly peers: readonly UsablePeer[]; readonly spec: PlannedSpec },
): SkeinError {
  const { stages, most, peers } = failure;
  if (peers.length < (stages ?? 1)) return noPeers(name, stages ?? 1, peers.length);
  const facts = { ...failure, name };
  if (stages === 1) return doesNotFit(facts, { stages });
  if (!shape.split.allowed) {
    const { reason } = shape.split;
    return stages === undefined ? doesNotFit(facts, { noSplitReason: reason }) : splitUnsupported(name, reason);
  }
  if (stages !== undefined && stages > most) {
    return splitUnsupported(name, `its ${shape.layers} layers make ${most} stages at most, not ${stages}`);
  }
  return doesNotFit(facts, stages === undefined ? {} : { stages });
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

function checkExperts({ name, sections }: ModelManifest): void {
  if (sections.some((section) => section.kind === 'tensor' && isExpertTensor(section.name))) return;
  throw new SkeinError('invalid-request', `${name} has no experts; deploy it without cpuExpertLayers (--cpu-moe)`, {
    details: { param: 'cpuExpertLayers' },
  });
}

function checkWindow({ name, shape }: ModelManifest): void {
  if (shape.slidingWindow !== undefined) return;
  throw new SkeinError(
    'invalid-request',
    `no layer of ${name} is known to attend to a window; deploy it without windowedCache (--window-cache)`,
    { details: { param: 'windowedCache' } },
  );
}

/** Returns the layer after the last one of each stage. */
function endsOf(layers: readonly number[]): readonly number[] {
  let end = 0;
  return layers.map((count) => (end += count));
}

/**
 * Chooses among the peers with room for all of it: one that serves the model least, since replicas beside each other share
 * one machine's speed; among those, one that holds it already; among those, the one with the most free memory.
 */
function wholeModelPeer(
  peers: readonly UsablePeer[],
  neededBytes: (peer: UsablePeer) => number,
): UsablePeer | undefined {
  const roomy = peers.filter((peer) => peer.freeBytes >= neededBytes(peer));
  const least = Math.min(...roomy.map(({ servedStages }) => servedStages));
  const candidates = roomy.filter(({ servedStages }) => servedStages === least);
  return candidates.find((peer) => peer.holdsModel) ?? candidates[0];
}

function planWhole(
  peer: UsablePeer,
  { block, memory, use }: { readonly block: Block; readonly memory: StageMemory; readonly use: MemoryUse },
): Plan {
  const { stage, experts } = planStage({ peer, block }, { bytes: memory(block, peer.microBatchRows), use });
  const holds = peer.holdsModel ? 'holds the model and ' : '';
  return {
    stages: [stage],
    microBatchRows: peer.microBatchRows,
    explanation: `not split: ${peer.name} ${holds}has ${formatBytes(stage.roomBytes)} free of ${formatBytes(stage.bytes)} needed${experts}`,
  };
}

function planSplit(
  split: readonly Balanced<UsablePeer>[],
  { memory, use, ends }: Pick<SplitModel, 'ends'> & { readonly memory: StageMemory; readonly use: MemoryUse },
): Plan {
  // A stage on a CPU gains nothing by more rows, and would pay for them with memory.
  const rows = Math.min(...split.map(({ peer }) => peer.microBatchRows));
  const planned = split.map((one) => ({ ...one, ...planStage(one, { bytes: memory(one.block, rows), use }) }));
  const parts = planned.map(
    ({ peer, block, stage, experts }) =>
      `layers ${block.from}-${block.to - 1} on ${peer.name} (${formatBytes(stage.bytes)} of ${formatBytes(stage.roomBytes)} free${experts})`,
  );
  const how = ends === undefined ? 'so that the slowest stage is as fast as can be' : 'as asked for';
  return {
    stages: planned.map(({ stage }) => stage),
    microBatchRows: rows,
    explanation: `split ${how}: ${parts.join(', ')}`,
  };
}

/** Makes a stage of a plan, and the words about its experts where some lie in main memory. */
function planStage(
  { peer, block }: Balanced<UsablePeer>,
  { bytes, use }: { readonly bytes: number; readonly use: MemoryUse },
): { readonly stage: PlannedStage; readonly experts: string } {
  const experts = use.beside(block, peer);
  return {
    stage: { peer: peer.peer, block, bytes, roomBytes: peer.freeBytes + experts.bytes },
    experts: experts.layers === 0 ? '' : `, the experts of ${experts.layers} of its layers in main memory`,
  };
}

/** The facts with which planning explains its failure. */
interface PlanFailure {
  readonly name: string;
  /** Bytes that the whole model takes on one peer. */
  readonly neededBytes: number;
  /** Usable peers, most free memory first. */
  readonly peers: readonly UsablePeer[];
  readonly spec: PlannedSpec;
}

/** Makes the error `no-peers` for fewer usable peers than wanted stages. */
function noPeers(name: string, wanted: number, usable: number): SkeinError {
  const message =
    usable === 0
      ? `no machine can serve ${name} now; start a peer with \`skein up\` or \`skein join\``
      : `${name} was asked for in ${wanted} stages, but only ${usable} ${usable === 1 ? 'machine' : 'machines'} can serve; join more machines or ask for fewer stages`;
  return new SkeinError('no-peers', message, { details: { wanted, usable } });
}

/** Makes the error `does-not-fit`, with the numbers and the options that would help. */
function doesNotFit(failure: PlanFailure, options: { stages?: number; noSplitReason?: string }): SkeinError {
  const { name, neededBytes, peers } = failure;
  const { contextTokens, cpuExpertLayers } = failure.spec;
  const considered = options.noSplitReason === undefined ? peers.slice(0, options.stages) : peers.slice(0, 1);
  const availableBytes = considered.reduce((sum, peer) => sum + peer.freeBytes, 0);
  const where =
    considered.length === 1
      ? `${considered[0]?.name}, the machine with the most, has ${formatBytes(availableBytes)} free`
      : `${considered.map((peer) => `${peer.name} ${formatBytes(peer.freeBytes)}`).join(', ')} are free`;
  const why = options.noSplitReason === undefined ? '' : ` It can't be split: ${options.noSplitReason}.`;
  const experts =
    cpuExpertLayers === undefined ? '' : `, the experts of ${cpuExpertLayers} layers of it in main memory`;
  const overhead = considered.length === 1 ? '' : ', and each stage adds its own buffers';
  return new SkeinError(
    'does-not-fit',
    `${name} with a context of ${contextTokens} tokens needs ${formatBytes(neededBytes)}${experts}${overhead}; ${where}.${why} ` +
      'Free memory, ask for fewer contextTokens, choose a smaller quantization or join another machine',
    { details: { neededBytes, availableBytes } },
  );
}

/** Makes the error `split-unsupported` for a model that can't be split. */
function splitUnsupported(name: string, reason: string): SkeinError {
  return new SkeinError('split-unsupported', `${name} can't be split: ${reason}; deploy it without stages`);
}

/** Makes the error `invalid-request` for layers that are not the model's. */
function wrongLayers(name: string, reason: string): SkeinError {
  return new SkeinError('invalid-request', `${name} can't be split like that: ${reason}`, {
    details: { param: 'layers' },
  });
}
