import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';

import { SkeinError } from '@skein/protocol';

import type { ModelSource } from './model-source.ts';
import type { LocalFileSpec } from './source-spec.ts';

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;

/**
 * Makes a source of a GGUF on this machine. The file is copied, never linked: the store's files must not change when
 * their owner edits or replaces the original.
 */
export function localFileSource(spec: LocalFileSpec): ModelSource {
  const path = resolve(spec.path);
  return {
    label: basename(path),
    transfer: 'copy',
    async open() {
      const status = await stat(path).catch((error: unknown) => {
        throw new SkeinError('model-not-found', `cannot read ${path}; check the path and its permissions`, {
          cause: error,
        });
      });
      if (!status.isFile()) throw new SkeinError('invalid-request', `${path} is not a file; name the GGUF itself`);
      if (status.size === 0) throw new SkeinError('model-invalid', `${path} is empty; download it again`);
      return {
        identity: `file:${path}?bytes=${status.size}&modified=${status.mtimeMs}`,
        bytes: status.size,
        scratchBytes: 0,
        read: ({ offset, end, signal }) =>
          createReadStream(path, { start: offset, end: end - 1, highWaterMark: chunkBytes, signal }),
      };
    },
  };
}
