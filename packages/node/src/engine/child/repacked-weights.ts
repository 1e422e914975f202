import { openFileSource, readGgufLayout, tensorBytes, tensorType } from '../../gguf/index.ts';

/** Types that llama.cpp's CPU backend rearranges for its faster kernels, on some CPUs or on all (`repack.cpp`). */
const repackedTypes: ReadonlySet<string | undefined> = new Set([
  'q4_0',
  'q8_0',
  'q2_K',
  'q4_K',
  'q5_K',
  'q6_K',
  'iq4_nl',
  'mxfp4',
  'q1_0',
]);

/**
 * Tells whether a CPU may keep a rearranged copy of most of a file's weights. Such a file is better read than mapped:
 * its pages would stay in memory beside the copy.
 *
 * @throws SkeinError `model-invalid` when the file is no sound GGUF
 */
export async function areWeightsRepacked(file: string): Promise<boolean> {
  await using source = await openFileSource(file);
  const { tensors } = await readGgufLayout(source);
  let [repacked, all] = [0, 0];
  for (const { type, shape } of tensors.values()) {
    const bytes = tensorBytes(type, shape) ?? 0;
    all += bytes;
    if (repackedTypes.has(tensorType(type)?.name)) repacked += bytes;
  }
  return repacked > all / 2;
}
