import { join } from 'node:path';

import { readFileIfAny } from '@skein/mesh';
import { checkJson } from '@skein/protocol';
import { z } from 'zod';

import { describeGguf, filesBelow, type FoundFile } from './files-below.ts';

/** Longest manifest, in bytes: real ones have less than a thousand. */
const maxManifestBytes = 256 * 1024;
const modelType = 'application/vnd.ollama.image.model';

const manifestSchema = z.object({
  layers: z.array(z.object({ mediaType: z.string(), digest: z.string() })).max(1000),
});

/**
 * Lists the models of an Ollama: its manifests lie at `manifests/<host>/<namespace>/<model>/<tag>` and name blobs by
 * their SHA-256. A model that consists of several GGUFs is left out.
 */
export async function ollamaModels(directory: string): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  for (const manifest of await filesBelow(join(directory, 'manifests'))) {
    const [host, namespace, model, tag, ...deeper] = manifest.split('/');
    if (host === undefined || namespace === undefined || model === undefined || tag === undefined) continue;
    if (deeper.length > 0) continue;
    const blob = await modelBlob(join(directory, 'manifests', manifest));
    const file = blob === undefined ? undefined : await describeGguf(directory, `blobs/${blob}`);
    const name = `${namespace === 'library' ? '' : `${namespace}/`}${model}:${tag}`;
    if (file !== undefined) found.push({ ...file, name });
  }
  return found;
}

/** Returns the name of the file with the model; undefined for a manifest that names none, or several. */
async function modelBlob(path: string): Promise<string | undefined> {
  const content = await readFileIfAny(path, { maxBytes: maxManifestBytes }).catch(() => undefined);
  const checked = content && checkJson(manifestSchema, content);
  if (checked?.ok !== true) return undefined;
  const [only, ...others] = checked.data.layers.filter(({ mediaType }) => mediaType === modelType);
  // The digest becomes part of a path.
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(only?.digest ?? '')?.[1];
  return sha256 === undefined || others.length > 0 ? undefined : `sha256-${sha256}`;
}
