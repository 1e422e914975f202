import { setTimeout as delay } from 'node:timers/promises';

import { asSkeinError, isSkeinError, SkeinError } from '@skein/protocol';

import { exactly } from './exactly.ts';
import { HttpDownload, type HttpOptions } from './http-download.ts';
import type { ModelSource, OfferedFile } from './model-source.ts';
import type { HuggingFaceSpec } from './source-spec.ts';

export interface HuggingFaceOptions extends Partial<HttpOptions> {
  /** URL of the server with the repositories, without a path. Default: `https://huggingface.co`. */
  readonly endpoint?: string | undefined;
  /** Pause before a lost connection is opened again, in milliseconds. Default: 1000. */
  readonly retryDelayMs?: number | undefined;
}

/** Consecutive connections without a byte after which the source is given up. */
const fruitlessAttempts = 3;

/**
 * Makes a source of a file in a public Hugging Face repository. It resumes lost connections where they broke off, and
 * continues an interrupted download later as long as the repository still has the same file.
 */
export function huggingFaceSource(spec: HuggingFaceSpec, options: HuggingFaceOptions = {}): ModelSource {
  const path = [...spec.repository.split('/'), 'resolve', spec.revision, ...spec.file.split('/')];
  const url = new URL(path.map(encodeURIComponent).join('/'), options.endpoint ?? 'https://huggingface.co');
  const download = new HttpDownload(url, options);
  return {
    label: url.hostname,
    transfer: 'download',
    async open({ signal }): Promise<OfferedFile> {
      const { bytes, sha256, validator } = await download.describe(signal);
      return {
        identity: `${url.href}#${sha256 ?? validator}`,
        bytes,
        sha256,
        scratchBytes: 0,
        read: ({ offset, end, signal }) =>
          exactly(
            readToEnd(download, { offset, end, bytes, signal, retryDelayMs: options.retryDelayMs ?? 1000 }),
            end - offset,
          ),
      };
    },
  };
}

async function* readToEnd(
  download: HttpDownload,
  options: { offset: number; end: number; bytes: number; signal: AbortSignal; retryDelayMs: number },
): AsyncGenerator<Uint8Array> {
  const { end, bytes, signal, retryDelayMs } = options;
  let offset = options.offset;
  let fruitless = 0;
  while (offset < end) {
    try {
      for await (const chunk of download.read({ offset, end, bytes, signal })) {
        yield chunk;
        offset += chunk.byteLength;
        fruitless = 0;
      }
    } catch (error) {
      signal.throwIfAborted();
      fruitless += 1;
      // An error that is not retryable is a fact about the server's answer; a new connection would not change it.
      if (fruitless === fruitlessAttempts || (isSkeinError(error) && !error.retryable)) {
        throw asSkeinError(error, 'model-unreachable');
      }
      await delay(retryDelayMs, undefined, { signal });
      continue;
    }
    if (offset >= end) return;
    fruitless += 1;
    if (fruitless === fruitlessAttempts) {
      throw new SkeinError('model-unreachable', `the server closes the connection at ${offset} of ${bytes} bytes`);
    }
    await delay(retryDelayMs, undefined, { signal });
  }
}
