import {
  formatBytes,
  isExpertTensor,
  limits,
  SkeinError,
  type Card,
  type ModelManifest,
  type PlannedSpec,
} from '@skein/protocol';

import { addedCards } from './added-machines.ts';
import { stageMemory } from './block-costs.ts';
import { candidates, choose, type Candidate } from './choose.ts';
import { memoryUses } from './memory-uses.ts';
import { linksOf } from './performance/links.ts';
import { planOf, type Plan, type PlanOptions } from './planned.ts';
import { usablePeers, type PlacedStage, type UsablePeer } from './usable-peers.ts';

/** The facts of planning: nothing else enters a plan. */
export interface PlanSnapshot {
  readonly cards: readonly Card[];
  readonly manifest: ModelManifest;
  /** Stages that the coordinator has put on peers, whether cards show them or not. Default: none. */
  readonly placed?: readonly PlacedStage[];
  /** Peer ids of the machines that the plan may use. Default: all. */
  readonly among?: ReadonlySet<string>;
}

/** A plan, and the ones that it was preferred to. */
export interface PlanWithAlternatives {
  readonly plan: Plan;
  /** The best plan of each other kind: in other memory, or with another number of stages. */
  readonly alternatives: readonly Plan[];
}

/**
 * Decides which peers hold which layers of one replica. Pure: equal arguments, equal plans.
 *
 * @throws SkeinError `no-peers` without enough usable peers, `does-not-fit` with the numbers and what would help,
 * `split-unsupported` when more stages are asked for than the model can be cut into, `invalid-request` for layers that
 * are not the model's, or a windowed cache for a model without windows
 */
export function plan(snapshot: PlanSnapshot, spec: PlannedSpec): Plan {
  return planWithAlternatives(snapshot, spec).plan;
}

/**
 * Makes a plan as {@link plan} does, and tells what else was possible.
 *
 * @throws SkeinError as {@link plan} does
 */
export function planWithAlternatives(snapshot: PlanSnapshot, spec: PlannedSpec): PlanWithAlternatives {
  checkSpec(snapshot.manifest, spec);
  const { found, ...facts } = search(snapshot, spec);
  const chosen = choose(found);
  if (chosen === undefined) {
    throw noPlan(snapshot.manifest, { ...facts, spec, wouldDo: () => memoryThatWouldDo(snapshot, spec) });
  }
  const options: PlanOptions = {
    memory: facts.memory,
    machines: facts.machines,
    asked: spec.layers !== undefined ? 'layers' : spec.stages !== undefined ? 'stages' : undefined,
    fitsWhole: found.some((candidate) => candidate.stages.length === 1),
  };
  const made = (candidate: Candidate) => planOf(candidate, options);
  return { plan: made(chosen), alternatives: found.filter((one) => one !== chosen).map(made) };
}

function checkSpec(manifest: ModelManifest, spec: PlannedSpec): void {
  const { layers } = spec;
  if (layers !== undefined) checkLayers(layers, { manifest, stages: stagesOf(spec) });
  if (spec.windowedCache === true) checkWindow(manifest);
  if (spec.cpuExpertLayers !== undefined) checkExperts(manifest);
}

function stagesOf({ stages, layers }: PlannedSpec): number | undefined {
  return stages ?? layers?.length;
}

/** Finds the replicas that fit, and the facts that explain why there are none. */
function search({ manifest, cards, placed = [], among }: PlanSnapshot, spec: PlannedSpec) {
  const { shape } = manifest;
  const { layers } = spec;
  const stages = stagesOf(spec);
  const usable = usablePeers(cards, { model: manifest.model, placed });
  const peers = among === undefined ? usable : usable.filter(({ peer }) => among.has(peer));
  const memory = stageMemory(manifest, spec);
  const { split } = shape;
  const most = split.allowed ? Math.min(maximumStages(shape.layers, split.multiple), limits.maxStages) : 1;
  const found = candidates(memoryUses(peers, manifest, { memory, spec }), {
    manifest,
    spec,
    linkOf: linksOf(cards),
    stages,
    most,
    multiple: split.allowed ? split.multiple : shape.layers,
    ends: layers && endsOf(layers),
  });
  const neededBytes = memory({ from: 0, to: shape.layers });
  return { found, stages, most, neededBytes, peers, memory, machines: usable.length };
}

/** Main memory of the machines that people buy, in GiB. */
const machineSizes: readonly number[] = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/** Returns the least memory of a further machine with which there is a plan, in GiB; undefined where none of those helps. */
function memoryThatWouldDo(snapshot: PlanSnapshot, spec: PlannedSpec): number | undefined {
  const { cards, among } = snapshot;
  let [low, high] = [0, machineSizes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const memoryBytes = (machineSizes[middle] ?? Infinity) * 1024 ** 3;
    const added = addedCards([{ name: 'a further machine', memoryBytes }], cards);
    const withIt = {
      ...snapshot,
      cards: [...cards, ...added],
      ...(among !== undefined && { among: new Set([...among, ...added.map(({ peer }) => peer)]) }),
    };
    if (search(withIt, spec).found.length > 0) high = middle;
    else low = middle + 1;
  }
  return machineSizes[low];
}

/** The replica that is looked for, and the facts with which planning explains its failure. */
interface PlanFailure {
  readonly stages: number | undefined;
  readonly most: number;
  /** Bytes that the whole model takes on one peer, at the least. */
  readonly neededBytes: number;
  /** Usable peers, most free memory first. */
  readonly peers: readonly UsablePeer[];
  readonly spec: PlannedSpec;
  /** Returns the memory of a further machine with which there would be a plan, in GiB. */
  readonly wouldDo: () => number | undefined;
}

/** Makes the error that says why there is no plan. */
function noPlan({ name, shape }: ModelManifest, failure: PlanFailure): SkeinError {
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

/** Returns the most blocks that a model of so many layers can be cut into. */
function maximumStages(layers: number, multiple: number): number {
  return Math.ceil(layers / multiple);
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

/** Makes the error `no-peers` for fewer usable peers than wanted stages. */
function noPeers(name: string, wanted: number, usable: number): SkeinError {
  const message =
    usable === 0
      ? `no machine can serve ${name} now; start a peer with \`skein up\` or \`skein join\``
      : `${name} was asked for in ${wanted} stages, but only ${usable} ${usable === 1 ? 'machine' : 'machines'} can serve; join more machines or ask for fewer stages`;
  return new SkeinError('no-peers', message, { details: { wanted, usable } });
}

/** Makes the error `does-not-fit`, with the numbers and the options that would help. */
function doesNotFit(
  failure: PlanFailure & { readonly name: string },
  options: { stages?: number; noSplitReason?: string },
): SkeinError {
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
  const shortBytes = neededBytes - availableBytes;
  const short = shortBytes > 0 ? `, ${formatBytes(shortBytes)} short` : '';
  const size = failure.wouldDo();
  const machine = size === undefined ? '' : `; one with ${size} GB of memory would do`;
  return new SkeinError(
    'does-not-fit',
    `${name} with a context of ${contextTokens} tokens needs ${formatBytes(neededBytes)}${experts}${overhead}; ${where}${short}.${why} ` +
      `Free memory, ask for fewer contextTokens, choose a smaller quantization or join another machine${machine}`,
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
