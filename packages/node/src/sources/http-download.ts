import type { IncomingMessage } from 'node:http';

import { hasCode, onAbort, SkeinError } from '@skein/protocol';

import { explainFailure, unreachable, type HttpAnswer, type HttpClient } from './http-client.ts';
import type { LeastPace } from './least-pace.ts';
import { StallGuard } from './stall-guard.ts';

export interface HttpOptions {
  /**
   * Longest wait for the head of an answer, in milliseconds. Default: 5000. Short, so that a machine without Internet
   * access goes on to the next source soon.
   */
  readonly answerTimeoutMs: number;
  /** Longest wait between two chunks, in milliseconds. Default: 30,000. */
  readonly idleTimeoutMs: number;
}

/** A server's description of a file. */
export interface RemoteFile {
  readonly bytes: number;
  /** SHA-256 of the file, where the server names it. */
  readonly sha256: string | undefined;
  /** A value that changes when the file does. */
  readonly validator: string;
}

/** Codes for a URL that an earlier redirect led to, and that has expired. */
const expired: readonly string[] = ['model-not-found', 'model-unreachable'];

/** One file of a server, from any byte on. */
export class HttpDownload {
  readonly #client: HttpClient;
  readonly #url: URL;
  readonly #answerTimeoutMs: number;
  readonly #idleTimeoutMs: number;
  /** URL of the storage that had the file the last time: asking it at once spares the redirect of each range. */
  #storage: URL | undefined;
  #sendsRanges = false;
  /** Value that all answers must have: undefined where the hash tells whether they are of one file. */
  #validator: string | undefined;

  constructor(client: HttpClient, url: URL, options: Partial<HttpOptions>) {
    this.#client = client;
    this.#url = url;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? 5000;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 30_000;
  }

  /**
   * Asks the server for the file's size, hash and validator.
   *
   * @throws SkeinError `model-not-found`, `model-unreachable` or `deadline-exceeded`
   */
  async describe(signal: AbortSignal): Promise<RemoteFile> {
    using guard = this.#guard(signal, this.#answerTimeoutMs);
    const { response, linked } = await this.#client.request({ url: this.#url, method: 'HEAD', ...waiting(guard) });
    response.resume();
    const bytes = linked.bytes ?? contentLength(response);
    if (bytes === undefined) throw unreachable(this.#url, 'it does not say how big the file is');
    const validator = validatorOf(response);
    this.#validator = linked.sha256 === undefined ? validator : undefined;
    return { bytes, sha256: linked.sha256, validator };
  }

  /** Whether the last answer with content was the range that was asked for. */
  get sendsRanges(): boolean {
    return this.#sendsRanges;
  }

  /** Streams from `offset` until the connection ends, which may be before the byte `end` of a file of `bytes` bytes. */
  async *read(options: {
    readonly offset: number;
    readonly end: number;
    readonly bytes: number;
    readonly signal: AbortSignal;
    readonly pace: LeastPace;
  }): AsyncGenerator<Uint8Array> {
    const { offset, end, bytes, signal, pace } = options;
    using guard = this.#guard(signal, this.#answerTimeoutMs);
    const range = `bytes=${offset}-${end === bytes ? '' : end - 1}`;
    const { response } = await this.#requestRange(range, guard);
    using idle = this.#guard(guard.signal, this.#idleTimeoutMs);
    guard[Symbol.dispose]();
    this.#sendsRanges = response.statusCode === 206;
    using _abort = onAbort(idle.signal, () => void response.destroy());
    try {
      // A server that knows no ranges sends everything: the bytes that are there already are passed over.
      let skip = this.#sendsRanges ? 0 : offset;
      if (this.#sendsRanges) this.#checkRange(response, options);
      const isSame = this.#validator === undefined || this.#validator === validatorOf(response);
      if (!isSame || (!this.#sendsRanges && contentLength(response) !== bytes)) {
        throw new SkeinError('model-invalid', 'the file changed while it was downloaded; pull again');
      }
      for await (const content of response as AsyncIterable<Uint8Array>) {
        idle.progress();
        pace.arrived(content.byteLength);
        const chunk = content.subarray(Math.min(skip, content.byteLength));
        skip -= content.byteLength - chunk.byteLength;
        const goOn = pace.pause();
        if (chunk.byteLength > 0) yield chunk;
        goOn();
        idle.progress();
      }
      idle.signal.throwIfAborted();
    } catch (error) {
      throw explainFailure(error, { url: this.#url, signal: idle.signal });
    } finally {
      response.destroy();
    }
  }

  async #requestRange(range: string, guard: StallGuard): Promise<HttpAnswer> {
    const ask = async (url: URL) =>
      await this.#client.request({ url, method: 'GET', headers: { range }, ...waiting(guard) });
    if (this.#storage !== undefined) {
      try {
        return await ask(this.#storage);
      } catch (error) {
        guard.signal.throwIfAborted();
        this.#storage = undefined;
        if (!expired.some((code) => hasCode(error, code))) throw error;
      }
    }
    const answer = await ask(this.#url);
    this.#storage = answer.url;
    return answer;
  }

  #checkRange(
    { headers }: IncomingMessage,
    { offset, end, bytes }: { readonly offset: number; readonly end: number; readonly bytes: number },
  ): void {
    const expected = `bytes ${offset}-${end - 1}/${bytes}`;
    const sent = headers['content-range'];
    if (sent !== expected) throw unreachable(this.#url, `it sent the range "${sent}" instead of "${expected}"`);
  }

  #guard(signal: AbortSignal, timeoutMs: number): StallGuard {
    const message = `${this.#url.hostname} did not answer for ${timeoutMs / 1000} s; check the connection and try again`;
    return new StallGuard({ signal, timeoutMs, message });
  }
}

function waiting(guard: StallGuard) {
  return { signal: guard.signal, onProgress: () => guard.progress() };
}

function validatorOf({ headers }: IncomingMessage): string {
  return headers.etag ?? headers['last-modified'] ?? '';
}

function contentLength({ headers }: IncomingMessage): number | undefined {
  const text = /^\d{1,15}$/.exec(String(headers['content-length']))?.[0];
  return text === undefined ? undefined : Number(text);
}
