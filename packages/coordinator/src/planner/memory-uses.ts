import { expertLayersIn, layerExpertBytes, type Block, type ModelManifest, type PlannedSpec } from '@skein/protocol';

import { blockSums, type StageMemory } from './block-costs.ts';
import { gpuPeers, type UsablePeer } from './usable-peers.ts';

/** A way to use the memory of machines. */
export interface MemoryUse {
  /** Peers that have such memory; their `freeBytes` are how much of it. */
  readonly peers: readonly UsablePeer[];
  /** Returns the bytes that a block takes of it; infinite where its experts find no room in main memory beside. */
  readonly taken: (block: Block, peer: UsablePeer) => number;
  /** Returns the experts of a block that lie in main memory beside it. */
  readonly beside: (block: Block, peer: UsablePeer) => Experts;
  /** Bytes of it that the whole model takes, at the least. */
  readonly leastBytes: number;
}

/** Experts of a block's first layers. */
export interface Experts {
  /** Number of layers. */
  readonly layers: number;
  readonly bytes: number;
}

/**
 * Lists the ways to use the memory of peers, the fastest first:
 *
 * 1. That of GPUs alone, or with the experts beside it that the spec asks to have in main memory. GPUs are many times
 *    as fast as CPUs: two machines that hold a model on theirs beat one with memory for all.
 * 2. That of GPUs for all but experts, and main memory for the experts of as few first layers as needed: a token needs
 *    few of them, so a CPU computes them sooner than whole layers. Of no use where GPUs share main memory.
 * 3. All memory.
 */
export function memoryUses(
  peers: readonly UsablePeer[],
  manifest: ModelManifest,
  { memory, spec }: { readonly memory: StageMemory; readonly spec: PlannedSpec },
): readonly MemoryUse[] {
  const expertBytesOf = blockSums(layerExpertBytes(manifest));
  const whole = { from: 0, to: manifest.shape.layers };
  const [leastBytes, expertBytes] = [memory(whole), expertBytesOf(whole)];
  const bytesOn = (block: Block, peer: UsablePeer) => memory(block, peer.microBatchRows);
  const expertsOf = ({ from }: Block, layers: number): Experts => ({
    layers,
    bytes: expertBytesOf({ from, to: from + layers }),
  });
  const asked = (block: Block, { sharesMemory }: Pick<UsablePeer, 'sharesMemory'>) =>
    expertsOf(block, sharesMemory ? 0 : (expertLayersIn(block, spec) ?? 0));
  const takenBeside = (experts: Experts, bytes: number, { mainBytes }: UsablePeer) =>
    experts.bytes > mainBytes ? Infinity : bytes;

  const onGpus = gpuPeers(peers);
  const asAsked: MemoryUse = {
    peers: onGpus,
    taken: (block, peer) => {
      const experts = asked(block, peer);
      return takenBeside(experts, bytesOn(block, peer) - experts.bytes, peer);
    },
    beside: asked,
    leastBytes: leastBytes - asked(whole, { sharesMemory: false }).bytes,
  };
  const most = ({ from, to }: Block, { mainBytes }: UsablePeer) => {
    let layers = 0;
    while (layers < to - from && expertsOf({ from, to }, layers + 1).bytes <= mainBytes) layers += 1;
    return expertsOf({ from, to }, layers);
  };
  const withExpertsBeside: MemoryUse = {
    peers: onGpus.filter(({ sharesMemory }) => !sharesMemory),
    taken: (block, peer) => bytesOn(block, peer) - most(block, peer).bytes,
    beside: (block, peer) => {
      let experts = expertsOf(block, 0);
      while (bytesOn(block, peer) - experts.bytes > peer.freeBytes) experts = expertsOf(block, experts.layers + 1);
      return experts;
    },
    leastBytes: leastBytes - expertBytes,
  };
  const all: MemoryUse = {
    peers,
    taken: (block, peer) => takenBeside(asked(block, peer), bytesOn(block, peer), peer),
    beside: (block) => expertsOf(block, 0),
    leastBytes,
  };
  const choosesExperts = expertBytes > 0 && spec.cpuExpertLayers === undefined;
  return choosesExperts ? [asAsked, withExpertsBeside, all] : [asAsked, all];
}
