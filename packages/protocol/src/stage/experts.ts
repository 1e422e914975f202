import type { PlannedSpec } from '../deployment/spec.ts';
import type { ModelManifest } from '../model/manifest.ts';
import type { Block } from './messages.ts';

/** Names of tensors with the experts of a layer, as llama.cpp's own `--cpu-moe` knows them. */
const expertTensor = /^blk\.(\d+)\.ffn_(?:up|down|gate|gate_up)_(?:ch|)exps\./;

/** Returns whether a tensor holds experts of a layer: weights or biases, but not their router or shared experts. */
export function isExpertTensor(name: string): boolean {
  return expertTensor.test(name);
}

/** Returns the bytes of each layer that are its experts. */
export function layerExpertBytes({ shape, sections }: ModelManifest): readonly number[] {
  const layers = Array.from({ length: shape.layers }, () => 0);
  for (const { kind, name, bytes } of sections) {
    const layer = Number(kind === 'tensor' ? expertTensor.exec(name)?.[1] : undefined);
    const sum = layers[layer];
    if (sum !== undefined) layers[layer] = sum + bytes;
  }
  return layers;
}

/**
 * Returns the number of a block's first layers whose experts stay in main memory beside GPUs; undefined where its
 * machine decides. The option counts the layers of the model.
 */
export function expertLayersIn(
  { from, to }: Block,
  { cpuExpertLayers }: Pick<PlannedSpec, 'cpuExpertLayers'>,
): number | undefined {
  return cpuExpertLayers && Math.min(Math.max(0, cpuExpertLayers - from), to - from);
}
