import { setTimeout as delay } from 'node:timers/promises';

import { asSkeinError, isSkeinError, SkeinError } from '@skein/protocol';

import { concurrentSegments } from './concurrent-segments.ts';
import { exactly } from './exactly.ts';
import { LeastPace } from './least-pace.ts';
import { HttpClient } from './http-client.ts';
import { HttpDownload, type HttpOptions } from './http-download.ts';
import type { ModelSource, OfferedFile, ReadOptions } from './model-source.ts';
import { RepositoryServer } from './repository-server.ts';
import type { SourceSettings } from './source-settings.ts';
import type { HuggingFaceSpec } from './source-spec.ts';

export interface HuggingFaceOptions extends SourceSettings, Partial<HttpOptions> {
  /** Pause before a lost connection is opened again, in milliseconds. Default: 1000. */
  readonly retryDelayMs?: number | undefined;
  /** Connections for one file, once its server has sent a range. Default: 4. */
  readonly connections?: number | undefined;
  /** Bytes that a connection fetches before the next range. Default: 16 MiB, so that 64 MiB wait in memory at most. */
  readonly segmentBytes?: number | undefined;
  /** Returns the milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** Consecutive connections without a byte after which the source is given up. */
const fruitlessAttempts = 3;

/**
 * Makes a source of a file in a Hugging Face repository. It resumes lost connections where they broke off, and
 * continues an interrupted download later as long as the repository still has the same file.
 *
 * @throws SkeinError `invalid-request` for settings that can't be used
 */
export function huggingFaceSource(spec: HuggingFaceSpec, options: HuggingFaceOptions = {}): ModelSource {
  const { retryDelayMs = 1000, connections = 4, segmentBytes = 16 * 1024 * 1024 } = options;
  const { now = () => performance.now() } = options;
  const server = new RepositoryServer(options);
  const url = server.url([...spec.repository.split('/'), 'resolve', spec.revision, ...spec.file.split('/')]);
  const download = new HttpDownload(new HttpClient(server, options), url, options);
  return {
    label: url.hostname,
    transfer: 'download',
    async open({ signal }): Promise<OfferedFile> {
      const { bytes, sha256, validator } = await download.describe(signal);
      const read = (range: Pick<ReadOptions, 'offset' | 'end' | 'signal'>) =>
        exactly(
          readToEnd(download, { ...range, bytes, retryDelayMs, pace: new LeastPace(url.hostname, now) }),
          range.end - range.offset,
        );
      return {
        identity: `${url.href}#${sha256 ?? validator}`,
        bytes,
        sha256,
        scratchBytes: 0,
        read: async function* ({ offset, end, signal }) {
          // One connection shows whether the server sends ranges.
          const first = Math.min(end, offset + segmentBytes);
          yield* read({ offset, end: first, signal });
          const rest = { offset: first, end, signal };
          if (download.sendsRanges) yield* concurrentSegments({ ...rest, read, connections, segmentBytes });
          else yield* read(rest);
        },
      };
    },
  };
}

async function* readToEnd(
  download: HttpDownload,
  options: {
    offset: number;
    end: number;
    bytes: number;
    signal: AbortSignal;
    retryDelayMs: number;
    pace: LeastPace;
  },
): AsyncGenerator<Uint8Array> {
  const { end, bytes, signal, retryDelayMs, pace } = options;
  let offset = options.offset;
  let fruitless = 0;
  while (offset < end) {
    try {
      for await (const chunk of download.read({ offset, end, bytes, signal, pace })) {
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
