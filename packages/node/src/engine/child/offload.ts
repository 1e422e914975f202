import { invariant, keptDeviceBytes } from '@skein/protocol';

import type { GpuDevice } from '../../hardware/devices.ts';
import type { Spread } from '../../hardware/gpu-options.ts';

/** Sizes of the parts of a stage that llama.cpp places one by one, in bytes. */
export interface StageSizes {
  /** Weights, keys and values of each layer. */
  readonly layers: readonly number[];
  /** Bytes of each layer that are its experts. Default: the model has none. */
  readonly experts?: readonly number[];
  /** The output matrix and its norm; llama.cpp places them like one more layer, the last. */
  readonly output: number;
}

/** The end of a stage that lies on GPUs; the layers before it lie in main memory. */
export interface Offload {
  /** Number of parts on GPUs, as llama.cpp counts them: the output matrix is the first, the layers follow from the last. */
  readonly parts: number;
  /** Share of each GPU, in the order in which they were given. */
  readonly devices: readonly { readonly parts: number; readonly layers: number; readonly bytes: number }[];
}

/** Returns the bytes that a stage may take on each GPU. */
export function roomsOn(gpus: readonly Pick<GpuDevice, 'freeMemoryBytes'>[]): readonly number[] {
  return gpus.map(({ freeMemoryBytes }) => Math.max(0, freeMemoryBytes - keptDeviceBytes));
}

/**
 * Chooses how much of a stage goes to GPUs: all of it where it fits, else as many of the last parts as do.
 *
 * @param rooms bytes that the stage may take on each GPU
 * @param most greatest number of parts to place. Default: all
 */
export function chooseOffload(
  sizes: StageSizes,
  { rooms, spread, most }: { readonly rooms: readonly number[]; readonly spread: Spread; readonly most?: number },
): Offload {
  const all = [...sizes.layers, sizes.output];
  for (let parts = Math.min(most ?? all.length, all.length); parts > 0; parts -= 1) {
    const placed = all.slice(all.length - parts);
    const counts = spreadParts(placed, rooms, spread);
    if (counts !== undefined) return { parts, devices: describe(placed, counts) };
  }
  return { parts: 0, devices: rooms.map(() => ({ parts: 0, layers: 0, bytes: 0 })) };
}

/** An offload, and the number of the stage's first layers whose experts stay in main memory. */
export interface ExpertOffload extends Offload {
  readonly expertLayers: number;
}

/**
 * Chooses how much of a stage goes to GPUs, as {@link chooseOffload} does. Where not all fits, experts stay in main memory:
 * those of as few of the first layers as let all else fit. Few experts are read for a token, so a CPU computes them
 * sooner than whole layers.
 *
 * @param expertLayers exact number of layers whose experts stay there. Default: as few as needed
 * @param least smallest number of such layers. Default 0
 */
export function chooseExpertOffload(
  sizes: StageSizes,
  {
    expertLayers,
    least = 0,
    ...options
  }: Parameters<typeof chooseOffload>[1] & { readonly expertLayers?: number | undefined; readonly least?: number },
): ExpertOffload {
  const { layers, experts = layers.map(() => 0) } = sizes;
  const most = experts.some((bytes) => bytes > 0) ? layers.length : 0;
  const without = (count: number): ExpertOffload => {
    const rest = layers.map((bytes, layer) =>
      layer < count ? bytes - invariant(experts[layer], 'each layer has its experts') : bytes,
    );
    return { ...chooseOffload({ ...sizes, layers: rest }, options), expertLayers: count };
  };
  if (expertLayers !== undefined) return without(Math.min(expertLayers, most));
  for (let count = Math.min(least, most); count < most; count += 1) {
    const offload = without(count);
    if (offload.parts > layers.length) return offload;
  }
  return without(most);
}

/** Returns how many of the parts, in their order, each GPU takes; undefined where they do not fit. */
function spreadParts(parts: readonly number[], rooms: readonly number[], spread: Spread): number[] | undefined {
  if (spread.by === 'shares') {
    const counts = shareParts(parts.length, spread.shares);
    return describe(parts, counts).every(({ bytes }, index) => bytes <= roomOf(rooms, index)) ? counts : undefined;
  }
  const full = fill(parts, rooms, 1);
  if (full === undefined || spread.by === 'order') return full;
  // The smallest share of all rooms that is enough; what is found is within 2⁻²⁰ of it.
  let best = full;
  let [tooLittle, enough] = [0, 1];
  for (let step = 0; step < 20; step += 1) {
    const share = (tooLittle + enough) / 2;
    const counts = fill(parts, rooms, share);
    if (counts === undefined) tooLittle = share;
    else [best, enough] = [counts, share];
  }
  return best;
}

/** Gives each GPU as many of the parts as a share of its room takes; undefined where some are left. */
function fill(parts: readonly number[], rooms: readonly number[], share: number): number[] | undefined {
  let next = 0;
  const counts = rooms.map((room) => {
    const first = next;
    for (let rest = room * share; next < parts.length; next += 1) {
      rest -= invariant(parts[next], 'a part that is left is there');
      if (rest < 0) break;
    }
    return next - first;
  });
  return next === parts.length ? counts : undefined;
}

function roomOf(rooms: readonly number[], index: number): number {
  return invariant(rooms[index], 'each GPU has a room');
}

/** Shares parts out as llama.cpp does: part `k` of `n` goes to the first GPU whose share ends behind `k / n`. */
function shareParts(count: number, shares: readonly number[]): number[] {
  const sum = shares.reduce((total, share) => total + share, 0);
  let [end, given] = [0, 0];
  return shares.map((share, index) => {
    end += share;
    const upTo = index === shares.length - 1 ? count : Math.min(count, Math.ceil((end / sum) * count));
    const taken = upTo - given;
    given = upTo;
    return taken;
  });
}

function describe(parts: readonly number[], counts: readonly number[]): Offload['devices'] {
  let next = 0;
  return counts.map((count) => {
    const own = parts.slice(next, next + count);
    next += count;
    const holdsOutput = count > 0 && next === parts.length;
    return { parts: count, layers: count - Number(holdsOutput), bytes: own.reduce((sum, bytes) => sum + bytes, 0) };
  });
}
