import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

import type { ModelManifest } from '@skein/protocol';

import type { Progress } from './progress.ts';
import { RunningManifest } from './running-manifest.ts';

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;

/**
 * Describes a GGUF: its id, its shape and its sections with their hashes. The file is read once, front to back.
 *
 * @throws SkeinError `model-invalid` when the file is damaged, no language model, or one of several parts
 */
export async function createManifest(options: {
  readonly file: string;
  /** Human name of the model. */
  readonly name: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}): Promise<{ manifest: ModelManifest }> {
  const { file, name, signal, onProgress } = options;
  const { size: totalBytes } = await stat(file);
  const manifest = new RunningManifest({ bytes: totalBytes, name });
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes, signal })) {
    await manifest.update(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).byteLength;
    onProgress?.({ bytes, totalBytes });
  }
  return { manifest: manifest.finish() };
}
