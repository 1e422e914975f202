import { formatBytes, keptDeviceBytes, type Block, type DeviceMemory, type Prediction } from '@skein/protocol';

import type { StageMemory } from './block-costs.ts';
import type { ChosenStage } from './chains.ts';
import type { Candidate } from './choose.ts';
import type { UsablePeer } from './usable-peers.ts';

export interface PlannedStage {
  readonly peer: string;
  readonly block: Block;
  /** Estimated memory, in bytes. */
  readonly bytes: number;
  /** The same by device: its GPUs, and `main memory`. */
  readonly devices: readonly DeviceMemory[];
  /** Bytes that it could take there, in the memory that it was planned for: that of GPUs and experts beside it, or all. */
  readonly roomBytes: number;
}

/** The peers of one replica's stages, in pipeline order: the first is the lead, the last the tail. */
export interface Plan {
  readonly stages: readonly PlannedStage[];
  /** Rows of the largest micro-batch, which all stages take. */
  readonly microBatchRows: number;
  readonly prediction: Prediction;
  /** The decision with its numbers, in one line for people. */
  readonly explanation: string;
}

export interface PlanOptions {
  readonly memory: StageMemory;
  /** Number of machines that could have been used. */
  readonly machines: number;
  /** The part of the split that was asked for. */
  readonly asked: 'layers' | 'stages' | undefined;
  /** Whether one machine has room for the whole model. */
  readonly fitsWhole: boolean;
}

/** Makes a plan of a candidate, with its memory and its reasons. */
export function planOf(candidate: Candidate, options: PlanOptions): Plan {
  const { microBatchRows, prediction } = candidate;
  const described = candidate.stages.map((stage) => describe(stage, candidate, options));
  const [first] = described;
  return {
    stages: described.map(({ stage }) => stage),
    microBatchRows,
    prediction,
    explanation:
      first !== undefined && described.length === 1 ? explainWhole(first) : explainSplit(described, candidate, options),
  };
}

/** A stage of a plan, with the words about its experts where some lie in main memory. */
interface DescribedStage {
  readonly peer: UsablePeer;
  readonly stage: PlannedStage;
  readonly experts: string;
}

function describe(
  { peer, block }: ChosenStage,
  { use, microBatchRows }: Candidate,
  { memory }: PlanOptions,
): DescribedStage {
  const { cpuLayers, expertLayers, expertBytes } = use.layout(block, peer);
  const bytes = memory(block, microBatchRows);
  const onGpus = { from: block.from + cpuLayers, to: block.to };
  const gpuBytes = onGpus.from >= block.to ? 0 : Math.max(0, memory(onGpus, microBatchRows) - expertBytes);
  return {
    peer,
    stage: {
      peer: peer.peer,
      block,
      bytes,
      devices: devicesOf(peer, { gpuBytes, mainBytes: bytes - gpuBytes }),
      roomBytes: peer.freeBytes + (use.includesMain ? 0 : expertBytes),
    },
    experts: expertLayers === 0 ? '' : `, the experts of ${expertLayers} of its layers in main memory`,
  };
}

/** Spreads a stage over the devices of a machine: its GPUs are filled to the same share of what is free on them. */
function devicesOf(
  { hardware }: UsablePeer,
  { gpuBytes, mainBytes }: { readonly gpuBytes: number; readonly mainBytes: number },
): readonly DeviceMemory[] {
  const free = hardware.gpus.map(({ name, freeMemoryBytes }) => ({
    device: name,
    bytes: Math.max(0, freeMemoryBytes - keptDeviceBytes),
  }));
  const all = free.reduce((sum, { bytes }) => sum + bytes, 0);
  const gpus = free.map(({ device, bytes }) => ({
    device,
    bytes: all === 0 ? 0 : Math.round((gpuBytes * bytes) / all),
  }));
  return [...gpus, { device: 'main memory', bytes: mainBytes }].filter(({ bytes }) => bytes > 0);
}

function explainWhole({ peer, stage, experts }: DescribedStage): string {
  const holds = peer.holdsModel ? 'holds the model and ' : '';
  return `not split: ${peer.name} ${holds}has ${formatBytes(stage.roomBytes)} free of ${formatBytes(stage.bytes)} needed${experts}`;
}

function explainSplit(
  described: readonly DescribedStage[],
  { prediction }: Candidate,
  { machines, asked, fitsWhole }: PlanOptions,
): string {
  const parts = described.map(
    ({ peer, stage: { block, bytes, roomBytes }, experts }) =>
      `layers ${block.from}-${block.to - 1} on ${peer.name} (${formatBytes(bytes)} of ${formatBytes(roomBytes)} free${experts})`,
  );
  const why = fitsWhole ? 'that is faster than on one' : 'none has room for all of it';
  const reason = asked === undefined ? `, since ${why},` : '';
  const aim =
    prediction.objective === 'one-stream'
      ? 'so that a token passes all stages as soon as can be'
      : 'so that the slowest stage is as fast as can be';
  const how = asked === 'layers' ? 'as asked for' : aim;
  return `split over ${described.length} of ${machines} machines${reason} ${how}: ${parts.join(', ')}`;
}
