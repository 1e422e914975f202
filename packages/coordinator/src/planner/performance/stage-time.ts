import { tokenWeights, type Block, type ModelManifest, type TokenWeights, type Weights } from '@skein/protocol';

import { blockSums } from '../block-costs.ts';
import type { StageLayout } from '../memory-uses.ts';
import type { UsablePeer } from '../usable-peers.ts';
import { deviceSpeed } from './device-speed.ts';

/** The time that a stage computes, in nanoseconds. */
export interface StageTime {
  /** One row, through its layers. */
  readonly rowNs: number;
  /** Each further row of the same micro-batch. */
  readonly furtherRowNs: number;
  /** One row, and each further one, through the output matrix. 0 on stages other than the tail. */
  readonly headNs: number;
  readonly furtherHeadNs: number;
  /** Attention of one row to one token before it, through the stage's layers. */
  readonly attentionNs: number;
}

/** Returns the time of a stage for a micro-batch of rows after each of which a token is drawn: a + b · rows. */
export function decodeNs({ rowNs, furtherRowNs, headNs, furtherHeadNs }: StageTime, rows: number): number {
  return rowNs + headNs + (rows - 1) * (furtherRowNs + furtherHeadNs);
}

/** Returns the time of a stage for a micro-batch of rows of a prompt behind so many tokens. */
export function prefillNs({ rowNs, furtherRowNs, attentionNs }: StageTime, rows: number, tokensBefore: number): number {
  return rowNs + (rows - 1) * furtherRowNs + rows * tokensBefore * attentionNs;
}

/** Returns the time of a stage of a peer, by the block and where that lies. */
export type StageTimeOf = (block: Block, layout: StageLayout) => StageTime;

/** The times of a peer with one model. */
export interface PeerTimes {
  readonly timeOf: StageTimeOf;
  /** Whether the speed of all that computes was measured there. */
  readonly isMeasured: boolean;
}

/** Makes the functions that tell how long peers compute with one model. */
export function peerTimes(manifest: ModelManifest): (peer: UsablePeer) => PeerTimes {
  const weights = tokenWeights(manifest);
  const layer = meanOf(weights);
  const known = new Map<string, PeerTimes>();
  return ({ peer, hardware, gpuBytes }) => {
    const times = known.get(peer);
    if (times !== undefined) return times;
    const cpu = deviceSpeed(hardware, 'cpu', layer);
    const gpu = gpuBytes > 0 ? deviceSpeed(hardware, 'gpu', layer) : cpu;
    const made = {
      timeOf: timesOn(weights, { cpu, gpu }, manifest.shape),
      isMeasured: gpu.isMeasured,
    };
    known.set(peer, made);
    return made;
  };
}

function timesOn(
  { layers, experts, output }: TokenWeights,
  { cpu, gpu }: { readonly cpu: ReturnType<typeof deviceSpeed>; readonly gpu: ReturnType<typeof deviceSpeed> },
  { layers: count, hiddenSize }: ModelManifest['shape'],
): StageTimeOf {
  const sums = (device: typeof cpu, parts: readonly Weights[]) => ({
    row: blockSums(parts.map(device.rowNs)),
    further: blockSums(parts.map(device.furtherRowNs)),
  });
  const [onCpu, onGpu] = [sums(cpu, layers), sums(gpu, layers)];
  const [expertsOnCpu, expertsOnGpu] = [sums(cpu, experts), sums(gpu, experts)];
  const [attentionOnCpu, attentionOnGpu] = [cpu.attentionNs(hiddenSize), gpu.attentionNs(hiddenSize)];
  return ({ from, to }, { cpuLayers, expertLayers }) => {
    const between = Math.min(from + cpuLayers, to);
    const [first, rest] = [
      { from, to: between },
      { from: between, to },
    ];
    const beside = { from: between, to: Math.min(between + expertLayers, to) };
    const sum = (time: 'row' | 'further'): number => {
      const layersNs = (between === from ? 0 : onCpu[time](first)) + (between === to ? 0 : onGpu[time](rest));
      return expertLayers === 0 ? layersNs : layersNs + expertsOnCpu[time](beside) - expertsOnGpu[time](beside);
    };
    const head = to === count ? (between === to ? cpu : gpu) : undefined;
    return {
      rowNs: sum('row'),
      furtherRowNs: sum('further'),
      headNs: head?.headNs(output) ?? 0,
      furtherHeadNs: head?.furtherRowNs(output) ?? 0,
      attentionNs: (between - from) * attentionOnCpu + (to - between) * attentionOnGpu,
    };
  };
}

function meanOf({ layers }: TokenWeights): Weights {
  const sum = (amountOf: (weights: Weights) => number) => layers.reduce((total, one) => total + amountOf(one), 0);
  const count = Math.max(1, layers.length);
  return { bytes: sum(({ bytes }) => bytes) / count, count: sum((one) => one.count) / count };
}
