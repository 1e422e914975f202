import type { ModelManifest } from '@skein/protocol';

/** The sizes of a model's parts, as far as planning needs them. All in bytes. */
export interface ModelSize {
  /** Weights of each layer, in order. */
  readonly layerBytes: readonly number[];
  /** Token embeddings: the lead looks token rows up in them. */
  readonly embeddingBytes: number;
  /** Output matrix of the tail; the token embeddings once more where the model ties the two. */
  readonly outputBytes: number;
  /** Small global tensors (norms, rope factors), which every stage gets. */
  readonly sharedBytes: number;
  /** Whether `outputBytes` are the token embeddings, which a model that is not split holds once. */
  readonly tied: boolean;
}

/** Adds a manifest's tensors up by the stage that will hold them. Leaves out metadata (a few megabytes at most). */
export function modelSize(manifest: ModelManifest): ModelSize {
  const layerBytes = Array.from({ length: manifest.shape.layers }, () => 0);
  let embeddingBytes = 0;
  let outputBytes = 0;
  let sharedBytes = 0;
  for (const section of manifest.sections) {
    if (section.kind !== 'tensor') continue;
    const { name, bytes } = section;
    const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
    const sum = layerBytes[layer];
    if (sum !== undefined) layerBytes[layer] = sum + bytes;
    else if (name.startsWith('token_embd.')) embeddingBytes += bytes;
    else if (name.startsWith('output.')) outputBytes += bytes;
    else sharedBytes += bytes;
  }
  const tied = outputBytes === 0;
  return { layerBytes, embeddingBytes, outputBytes: tied ? embeddingBytes : outputBytes, sharedBytes, tied };
}
