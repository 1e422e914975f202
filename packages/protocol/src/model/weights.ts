import { isExpertTensor } from '../stage/experts.ts';
import type { ModelManifest } from './manifest.ts';

/** Weights that one token passes through. */
export interface Weights {
  readonly bytes: number;
  /** Number of weights. */
  readonly count: number;
}

/** The weights that one token passes through, by part of the model. */
export interface TokenWeights {
  /** Layers, in order. */
  readonly layers: readonly Weights[];
  /** The part of each layer that is experts. */
  readonly experts: readonly Weights[];
  /** Output matrix, which only tokens that another one is drawn after pass through. */
  readonly output: Weights;
}

const none: Weights = { bytes: 0, count: 0 };

/**
 * Adds up the weights that one token passes through. Of a layer's experts it counts those that a token uses, or all where
 * the manifest does not say how many that are.
 */
export function tokenWeights({ shape, sections }: ModelManifest): TokenWeights {
  const usedShare = shape.experts === undefined ? 1 : shape.experts.used / shape.experts.count;
  const layers = Array.from({ length: shape.layers }, () => none);
  const experts = Array.from({ length: shape.layers }, () => none);
  let [embedding, output] = [none, none];
  for (const section of sections) {
    if (section.kind !== 'tensor') continue;
    const { name, bytes } = section;
    const isExpert = isExpertTensor(name);
    const share = isExpert ? usedShare : 1;
    const count = section.shape.reduce((product, extent) => product * extent, 1);
    const added = { bytes: bytes * share, count: count * share };
    const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
    const sum = layers[layer];
    if (sum !== undefined) {
      layers[layer] = plus(sum, added);
      if (isExpert) experts[layer] = plus(experts[layer] ?? none, added);
    } else if (name.startsWith('token_embd.')) embedding = plus(embedding, added);
    else if (name.startsWith('output.')) output = plus(output, added);
  }
  // Without a matrix of its own, a model un-embeds with its token embeddings.
  return { layers, experts, output: output.count === 0 ? embedding : output };
}

function plus(one: Weights, other: Weights): Weights {
  return { bytes: one.bytes + other.bytes, count: one.count + other.count };
}
