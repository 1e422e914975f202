import type { Block } from '@skein/protocol';

import type { StageMemory } from './stage-memory.ts';

export interface SplitLayersOptions {
  readonly layers: number;
  /** Cut points are multiples of this many layers; what lies between two of them is a unit. */
  readonly multiple: number;
  /** Free memory of the peers in bytes, in pipeline order. */
  readonly freeBytes: readonly number[];
  readonly memory: StageMemory;
}

/** Blocks that a model of so many layers can be cut into at most. */
export function maximumStages(layers: number, multiple: number): number {
  return Math.ceil(layers / multiple);
}

/**
 * Cuts the layers into one block per peer, each at least one unit: as near to the peers' shares of the free memory as
 * fits. Undefined exactly when no cut fits these peers in this order.
 */
export function splitLayers(options: SplitLayersOptions): Block[] | undefined {
  const { layers, multiple, freeBytes } = options;
  const units = maximumStages(layers, multiple);
  const block = (start: number, end: number) => ({ from: start * multiple, to: Math.min(end * multiple, layers) });
  const fits = (stage: number, start: number, end: number) =>
    options.memory(block(start, end)) <= (freeBytes[stage] ?? 0);
  const ends = possibleEnds({ stages: freeBytes.length, units, fits });

  const totalFreeBytes = freeBytes.reduce((sum, bytes) => sum + bytes, 0);
  const blocks: Block[] = [];
  let start = 0;
  let freeBytesSoFar = 0;
  for (const [stage, bytes] of freeBytes.entries()) {
    freeBytesSoFar += bytes;
    const end = nearest(ends[stage]?.[start] ?? [], (units * freeBytesSoFar) / totalFreeBytes);
    if (end === undefined) return undefined;
    blocks.push(block(start, end));
    start = end;
  }
  return blocks.length === 0 ? undefined : blocks;
}

/** By stage and unit at which it starts: where it may end so that it fits and the stages behind it can take the rest. */
function possibleEnds(options: {
  stages: number;
  units: number;
  fits: (stage: number, start: number, end: number) => boolean;
}): number[][][] {
  const { stages, units, fits } = options;
  const ends: number[][][] = [];
  for (let stage = stages - 1; stage >= 0; stage -= 1) {
    const isTail = stage === stages - 1;
    const canGoOnFrom = (end: number) => (isTail ? end === units : (ends[stage + 1]?.[end]?.length ?? 0) > 0);
    const endsOfStage: number[][] = [];
    for (let start = stage === 0 ? 0 : units - 1; start >= 0; start -= 1) {
      const endsFromStart: number[] = [];
      // More layers never take less memory, so the first end that does not fit is the last to look at.
      for (let end = start + 1; end <= units && fits(stage, start, end); end += 1) {
        if (canGoOnFrom(end)) endsFromStart.push(end);
      }
      endsOfStage[start] = endsFromStart;
    }
    ends[stage] = endsOfStage;
  }
  return ends;
}

function nearest(candidates: readonly number[], target: number): number | undefined {
  let best: number | undefined;
  for (const candidate of candidates) {
    if (best === undefined || Math.abs(candidate - target) < Math.abs(best - target)) best = candidate;
  }
  return best;
}
