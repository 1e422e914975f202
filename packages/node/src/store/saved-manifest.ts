import { readFile } from 'node:fs/promises';

import { decodeManifest, type EncodedManifest } from '@skein/mesh';

/** A manifest from the disk. Undefined when there is none, or when it is damaged: it can be had again. */
export async function readManifest(
  path: string,
  expected: { readonly digest?: string } = {},
): Promise<EncodedManifest | undefined> {
  try {
    return decodeManifest(await readFile(path), expected);
  } catch {
    return undefined;
  }
}
