import { decodeManifest, readFileIfAny, type EncodedManifest } from '@skein/mesh';
import { limits } from '@skein/protocol';

/**
 * A manifest from the disk. Undefined when there is none, or when it is damaged: it is made of the model, and can be had
 * again. Throws `disk-failed` for one that can't be read.
 */
export async function readManifest(
  path: string,
  expected: { readonly digest?: string } = {},
): Promise<EncodedManifest | undefined> {
  const encoded = await readFileIfAny(path, { maxBytes: limits.maxFrameBytes });
  if (encoded === undefined) return undefined;
  try {
    return decodeManifest(encoded, expected);
  } catch {
    return undefined;
  }
}
