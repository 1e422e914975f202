import { isSkeinError, onAbort, SkeinError } from '@skein/protocol';

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

const maximumRedirects = 5;

/**
 * One file by HTTPS, from any byte on. Follows redirects by hand, so that none leads from HTTPS to plain HTTP. Sends
 * nothing that identifies the user.
 */
export class HttpDownload {
  readonly #url: URL;
  readonly #answerTimeoutMs: number;
  readonly #idleTimeoutMs: number;

  constructor(url: URL, options: Partial<HttpOptions>) {
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
    const { response, linked } = await this.#request('HEAD', {}, guard);
    const bytes = linked.bytes ?? contentLength(response);
    if (bytes === undefined) throw unreachable(this.#url, 'it does not say how big the file is');
    const validator = response.headers.get('etag') ?? response.headers.get('last-modified') ?? '';
    return { bytes, sha256: linked.sha256, validator };
  }

  /** Streams from `offset` until the connection ends, which may be before the byte `end` of a file of `bytes` bytes. */
  async *read(options: {
    readonly offset: number;
    readonly end: number;
    readonly bytes: number;
    readonly signal: AbortSignal;
  }): AsyncGenerator<Uint8Array> {
    const { offset, end, bytes, signal } = options;
    using guard = this.#guard(signal, this.#answerTimeoutMs);
    const { response } = await this.#request(
      'GET',
      { range: `bytes=${offset}-${end === bytes ? '' : end - 1}` },
      guard,
    );
    using idle = this.#guard(guard.signal, this.#idleTimeoutMs);
    guard[Symbol.dispose]();
    // A server that knows no ranges sends everything: what is there already is passed over.
    let skip = response.status === 206 ? 0 : offset;
    if (response.status === 206) this.#checkRange(response, options);
    else if (contentLength(response) !== bytes)
      throw unreachable(this.#url, 'the file changed while it was downloaded');
    const reader = response.body?.getReader();
    if (reader === undefined) throw unreachable(this.#url, 'it sent no content');
    const cancel = () => void reader.cancel(idle.signal.reason).catch(() => {});
    using _abort = onAbort(idle.signal, cancel);
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        idle.progress();
        const chunk = next.value.subarray(Math.min(skip, next.value.byteLength));
        skip -= next.value.byteLength - chunk.byteLength;
        if (chunk.byteLength > 0) yield chunk;
      }
      idle.signal.throwIfAborted();
    } catch (error) {
      throw this.#explain(error, idle.signal);
    } finally {
      cancel();
    }
  }

  async #request(method: string, headers: Record<string, string>, guard: StallGuard) {
    let url = this.#url;
    let linked: { bytes?: number | undefined; sha256?: string | undefined } = {};
    for (let hop = 0; hop <= maximumRedirects; hop++) {
      const response = await fetch(url, {
        method,
        // Compressed content would make lengths and ranges meaningless.
        headers: { ...headers, 'accept-encoding': 'identity' },
        redirect: 'manual',
        signal: guard.signal,
      }).catch((error: unknown) => {
        throw this.#explain(error, guard.signal);
      });
      guard.progress();
      linked = { ...linked, ...linkedFile(response) };
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) {
        if (response.ok) return { response, linked };
        await response.body?.cancel();
        throw refused(url, response.status);
      }
      await response.body?.cancel();
      url = this.#redirected(url, location);
    }
    throw unreachable(this.#url, `it redirects more than ${maximumRedirects} times`);
  }

  #redirected(from: URL, location: string): URL {
    const target = URL.parse(location, from.href);
    if (target === null) throw unreachable(from, 'it redirects to an address that is none');
    if (target.protocol === 'https:' || target.protocol === this.#url.protocol) return target;
    throw unreachable(from, `it redirects to ${target.protocol}, where the download could be changed on its way`);
  }

  #checkRange(
    response: Response,
    { offset, end, bytes }: { readonly offset: number; readonly end: number; readonly bytes: number },
  ): void {
    const expected = `bytes ${offset}-${end - 1}/${bytes}`;
    const sent = response.headers.get('content-range');
    if (sent !== expected) throw unreachable(this.#url, `it sent the range "${sent}" instead of "${expected}"`);
  }

  #guard(signal: AbortSignal, timeoutMs: number): StallGuard {
    const message = `${this.#url.hostname} did not answer for ${timeoutMs / 1000} s; check the connection and try again`;
    return new StallGuard({ signal, timeoutMs, message });
  }

  #explain(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (isSkeinError(error)) return error;
    return unreachable(this.#url, `the connection failed${errorCode(error)}`, error);
  }
}

/** Reads the size and hash of a big file, which Hugging Face names on the redirect to its storage. */
function linkedFile({ headers }: Response): { bytes?: number; sha256?: string } {
  const sha256 = /^"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '')?.[1];
  const bytes = /^\d{1,15}$/.exec(headers.get('x-linked-size') ?? '')?.[0];
  return { ...(sha256 !== undefined && { sha256 }), ...(bytes !== undefined && { bytes: Number(bytes) }) };
}

function contentLength({ headers }: Response): number | undefined {
  const text = /^\d{1,15}$/.exec(headers.get('content-length') ?? '')?.[0];
  return text === undefined ? undefined : Number(text);
}

function refused(url: URL, status: number): SkeinError {
  if (status === 404) {
    return new SkeinError('model-not-found', `${url.hostname} has no such file; check owner, repository and file name`);
  }
  if (status === 401 || status === 403) {
    const fix = 'download the file in a browser and pull it by its path';
    return new SkeinError('model-not-found', `${url.hostname} does not give the file without an account; ${fix}`);
  }
  return unreachable(url, `it answered with status ${status}`);
}

function unreachable(url: URL, reason: string, cause?: unknown): SkeinError {
  return new SkeinError('model-unreachable', `cannot download from ${url.hostname}: ${reason}`, { cause });
}

/** Returns the reason of a failed `fetch`, e.g. ENOTFOUND, which it hides in the cause. */
function errorCode(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
}
