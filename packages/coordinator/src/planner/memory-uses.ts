import { expertLayersIn, layerExpertBytes, type Block, type ModelManifest, type PlannedSpec } from '@skein/protocol';

import { blockSums, type StageMemory } from './block-costs.ts';
import { gpuPeers, type UsablePeer } from './usable-peers.ts';

/** The parts of a stage that lie in main memory where a peer has GPUs. */
export interface StageLayout {
  /** Number of its first layers that the CPU computes. On a peer without GPUs all are. */
  readonly cpuLayers: number;
  /** Number of layers behind those whose experts lie in main memory, where the CPU computes them. */
  readonly expertLayers: number;
  /** Bytes of those experts. */
  readonly expertBytes: number;
}

/** A way to use the memory of machines. */
export interface MemoryUse {
  /** Peers that have such memory; their `freeBytes` are how much of it. */
  readonly peers: readonly UsablePeer[];
  /**
   * Returns the bytes that a block takes of it; infinite where its experts find no room in main memory beside. Never less
   * for a block that contains another one.
   */
  readonly taken: (block: Block, peer: UsablePeer) => number;
  /** Returns where the parts of a block lie that fits. */
  readonly layout: (block: Block, peer: UsablePeer) => StageLayout;
  /** Whether it is all memory, main memory with the parts in it included, rather than that of GPUs. */
  readonly includesMain: boolean;
  /** Bytes of it that the whole model takes, at the least. */
  readonly leastBytes: number;
}

/** Experts of a block's first layers. */
interface Experts {
  /** Number of layers. */
  readonly layers: number;
  readonly bytes: number;
}

const none: Experts = { layers: 0, bytes: 0 };

/**
 * Lists the ways to use the memory of peers, the fastest first:
 *
 * 1. That of GPUs alone, or with the experts beside it that the spec asks to have in main memory. GPUs are many times
 *    as fast as CPUs.
 * 2. That of GPUs for all but experts, and main memory for the experts of as few first layers as needed: a token needs
 *    few of them, so a CPU computes them sooner than whole layers. Of no use where GPUs share main memory.
 * 3. All memory: a stage that is larger than the room on its GPUs has its first layers in main memory.
 */
export function memoryUses(
  peers: readonly UsablePeer[],
  manifest: ModelManifest,
  { memory, spec }: { readonly memory: StageMemory; readonly spec: PlannedSpec },
): readonly MemoryUse[] {
  const { layers } = manifest.shape;
  const expertBytesOf = blockSums(layerExpertBytes(manifest));
  const whole = { from: 0, to: layers };
  const [leastBytes, expertBytes] = [memory(whole), expertBytesOf(whole)];
  const bytesOn = (block: Block, peer: UsablePeer) => memory(block, peer.microBatchRows);
  const expertsOf = ({ from }: Block, count: number): Experts => ({
    layers: count,
    bytes: expertBytesOf({ from, to: from + count }),
  });
  const asked = (block: Block, { sharesMemory }: Pick<UsablePeer, 'sharesMemory'>) =>
    expertsOf(block, sharesMemory ? 0 : (expertLayersIn(block, spec) ?? 0));
  const takenBeside = (experts: Experts, bytes: number, { mainBytes }: UsablePeer) =>
    experts.bytes > mainBytes ? Infinity : bytes;
  const beside = (experts: Experts, cpuLayers = 0): StageLayout => ({
    cpuLayers,
    expertLayers: experts.layers,
    expertBytes: experts.bytes,
  });

  const onGpus = gpuPeers(peers);
  const asAsked: MemoryUse = {
    peers: onGpus,
    taken: (block, peer) => {
      const experts = asked(block, peer);
      return takenBeside(experts, bytesOn(block, peer) - experts.bytes, peer);
    },
    layout: (block, peer) => beside(asked(block, peer)),
    includesMain: false,
    leastBytes: leastBytes - asked(whole, { sharesMemory: false }).bytes,
  };
  const mostBeside = ({ from, to }: Block, { mainBytes }: UsablePeer) => {
    // As many first layers as have room for their experts.
    const count = firstWith(to - from + 1, (layersBeside) => expertsOf({ from, to }, layersBeside).bytes > mainBytes);
    return expertsOf({ from, to }, count - 1);
  };
  const withExpertsBeside: MemoryUse = {
    peers: onGpus.filter(({ sharesMemory }) => !sharesMemory),
    taken: (block, peer) => bytesOn(block, peer) - mostBeside(block, peer).bytes,
    layout: (block, peer) => {
      const excess = bytesOn(block, peer) - peer.freeBytes;
      const count = firstWith(block.to - block.from, (layersBeside) => expertsOf(block, layersBeside).bytes >= excess);
      return beside(expertsOf(block, count));
    },
    includesMain: false,
    leastBytes: leastBytes - expertBytes,
  };
  const all: MemoryUse = {
    peers,
    taken: (block, peer) => takenBeside(asked(block, peer), bytesOn(block, peer), peer),
    layout: ({ from, to }, peer) => {
      if (peer.gpuBytes === 0) return beside(none, to - from);
      const askedCount = asked({ from, to }, peer).layers;
      const besideFrom = (first: number) => expertsOf({ from: from + first, to }, Math.max(0, askedCount - first));
      const onGpu = (first: number) =>
        bytesOn({ from: from + first, to }, peer) - besideFrom(first).bytes <= peer.gpuBytes;
      const cpuLayers = firstWith(to - from, onGpu);
      return beside(cpuLayers === to - from ? none : besideFrom(cpuLayers), cpuLayers);
    },
    includesMain: true,
    leastBytes,
  };
  const choosesExperts = expertBytes > 0 && spec.cpuExpertLayers === undefined;
  return choosesExperts ? [asAsked, withExpertsBeside, all] : [asAsked, all];
}

/** Returns the first number from 0 on that a condition holds for, or `end` where there is none. From there on it holds. */
function firstWith(end: number, condition: (number: number) => boolean): number {
  let [low, high] = [0, end];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (condition(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
