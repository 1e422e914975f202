import { decodeManifest, readFileIfAny, type EncodedManifest } from '@skein/mesh';
import { limits } from '@skein/protocol';

/**
 * Reads a manifest from the disk. Returns undefined when there is none, or a damaged one: it can be made or fetched
 * again.
 *
 * @throws SkeinError `disk-failed` when it exists and can't be read
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
