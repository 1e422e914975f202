import { invariant, isExpertTensor } from '@skein/protocol';

import { openFileSource, readGgufLayout, tensorBytes } from '../../gguf/index.ts';
import type { StageSizes } from './offload.ts';

/**
 * Reads the sizes of a stage's parts from its file.
 *
 * @param cacheBytes size of the keys and values of all its layers
 * @throws SkeinError `model-invalid` when the file is no sound GGUF
 */
export async function readStageSizes(
  file: string,
  { layers, cacheBytes }: { readonly layers: number; readonly cacheBytes: number },
): Promise<StageSizes> {
  await using source = await openFileSource(file);
  const { tensors } = await readGgufLayout(source);
  const sizes = Array.from({ length: layers }, () => cacheBytes / layers);
  const experts = Array.from({ length: layers }, () => 0);
  let [output, embedding, hasOutput] = [0, 0, false];
  for (const [name, { type, shape }] of tensors) {
    const bytes = tensorBytes(type, shape) ?? 0;
    const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
    const size = sizes[layer];
    if (size !== undefined) {
      sizes[layer] = size + bytes;
      if (isExpertTensor(name)) experts[layer] = invariant(experts[layer], 'each layer has its experts') + bytes;
    } else if (name.startsWith('token_embd.')) embedding += bytes;
    else output += bytes;
    hasOutput ||= name.startsWith('output.');
  }
  // Where the two are tied, the embeddings stay in main memory, and a copy of them is the output matrix.
  return { layers: sizes, experts, output: output + (hasOutput ? 0 : embedding) };
}
