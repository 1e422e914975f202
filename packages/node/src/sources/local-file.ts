import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';

import { SkeinError } from '@skein/protocol';

import type { ModelSource } from './model-source.ts';
import type { LocalFileSpec } from './source-spec.ts';

/** Bytes read at a time. */
const chunkBytes = 1024 * 1024;
/** Names that Ollama and the Hugging Face cache give their files: the SHA-256 of the content. */
const ownHash = /^(?:sha256-)?([0-9a-f]{64})$/;

/**
 * Makes a source of a GGUF on this machine. It is cloned where the file system can, else copied: the store's file must
 * not change when the owner of the original edits it. A hard link would let it, so only a file that nobody writes to is
 * linked: one that its owner says so of, or one that is named by its own hash, which is checked.
 */
export function localFileSource(spec: LocalFileSpec): ModelSource {
  const path = resolve(spec.path);
  return {
    label: basename(path),
    transfer: 'copy',
    async open() {
      const { status, target } = await lookAt(path);
      if (!status.isFile()) throw new SkeinError('invalid-request', `${path} is not a file; name the GGUF itself`);
      if (status.size === 0) throw new SkeinError('model-invalid', `${path} is empty; download it again`);
      const sha256 = ownHash.exec(basename(target))?.[1];
      return {
        identity: `file:${path}?bytes=${status.size}&modified=${status.mtimeMs}`,
        bytes: status.size,
        sha256,
        path,
        mayLink: spec.isFinal === true || sha256 !== undefined,
        scratchBytes: 0,
        read: ({ offset, end, signal }) =>
          createReadStream(path, { start: offset, end: end - 1, highWaterMark: chunkBytes, signal }),
      };
    },
  };
}

async function lookAt(path: string) {
  try {
    return { status: await stat(path), target: await realpath(path) };
  } catch (error) {
    const message = `cannot read ${path}; check the path and its permissions`;
    throw new SkeinError('model-not-found', message, { cause: error });
  }
}
