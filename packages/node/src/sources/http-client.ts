import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

import { isSkeinError, SkeinError } from '@skein/protocol';

import { isLocal } from './local-hosts.ts';
import type { RepositoryServer } from './repository-server.ts';
import type { ProxyVariables } from './source-settings.ts';

export interface HttpRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborts the request, and the answer's content. */
  readonly signal: AbortSignal;
  /** Called at each sign of the server. */
  readonly onProgress: () => void;
}

/** A server's answer, after all redirects. */
export interface HttpAnswer {
  readonly response: IncomingMessage;
  /** URL that answered. */
  readonly url: URL;
  /** Size and hash that a redirect named for its target. */
  readonly linked: LinkedFile;
}

export interface LinkedFile {
  readonly bytes?: number;
  readonly sha256?: string;
}

const maximumRedirects = 5;

/**
 * Requests to the server with the repositories, and to the storage to which it redirects. Redirects are followed by
 * hand: none leads from HTTPS to plain HTTP, nor from a public server into this machine or a private network, and the
 * access token goes to that server alone. Nothing else is sent that identifies the user.
 *
 * Answers have at most 16 KiB of headers, Node's own bound.
 */
export class HttpClient {
  readonly #server: RepositoryServer;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(server: RepositoryServer, options: { readonly proxies?: ProxyVariables | undefined } = {}) {
    this.#server = server;
    const agent = { keepAlive: true, ...(options.proxies !== undefined && { proxyEnv: awayFrom(options.proxies) }) };
    this.#http = new HttpAgent(agent);
    this.#https = new HttpsAgent(agent);
  }

  /**
   * Sends a request and returns the answer, whose status is one of success. Read its content, or destroy it.
   *
   * @throws SkeinError `model-not-found` or `model-unreachable`; the reason of the signal
   */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    let { url } = request;
    let linked: LinkedFile = {};
    for (let hop = 0; hop <= maximumRedirects; hop++) {
      const response = await this.#send({ ...request, url }).catch((error: unknown) => {
        throw explainFailure(error, { url, signal: request.signal });
      });
      request.onProgress();
      linked = { ...linked, ...linkedFile(response) };
      const { statusCode = 0 } = response;
      const { location } = response.headers;
      if (statusCode >= 200 && statusCode < 300) return { response, url, linked };
      // The content of a redirect or an error may be endless.
      response.destroy();
      if (statusCode < 300 || statusCode >= 400 || location === undefined) throw this.#refused(url, response);
      url = redirected(request.url, url, location);
    }
    throw unreachable(request.url, `it redirects more than ${maximumRedirects} times`);
  }

  async #send({ url, method, headers, signal }: HttpRequest): Promise<IncomingMessage> {
    signal.throwIfAborted();
    const isEncrypted = url.protocol === 'https:';
    return await new Promise((resolve, reject) => {
      const outgoing = (isEncrypted ? httpsRequest : httpRequest)(url, {
        method,
        signal,
        agent: isEncrypted ? this.#https : this.#http,
        headers: {
          'user-agent': 'skein',
          // Compressed content would make lengths and ranges meaningless.
          'accept-encoding': 'identity',
          ...headers,
          ...this.#server.credentialsFor(url),
        },
      });
      outgoing.once('response', (response) => {
        // A failure while nobody reads is thrown to the next reader.
        response.on('error', () => {});
        resolve(response);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  #refused(url: URL, { statusCode = 0 }: IncomingMessage): SkeinError {
    if (statusCode === 404) {
      const fix = 'check owner, repository, revision and file name';
      return new SkeinError('model-not-found', `${url.hostname} has no such file; ${fix}`);
    }
    if (statusCode === 401 || statusCode === 403) {
      const fix = this.#server.hasToken
        ? 'check the name, and ask there for access with the account of your access token'
        : 'check the name; if it is private or gated, ask there for access and set HF_TOKEN to an access token';
      return new SkeinError('model-not-found', `${url.hostname} does not give the file (status ${statusCode}); ${fix}`);
    }
    if (statusCode === 429) {
      return unreachable(url, 'it has too many requests of this address (status 429); try again in some minutes');
    }
    return unreachable(url, `it answered with status ${statusCode}`);
  }
}

/** Exempts this machine from proxies: none can reach it, and it may be sent the access token in the clear. */
function awayFrom(proxies: ProxyVariables): ProxyVariables {
  const { no_proxy, NO_PROXY, ...others } = proxies;
  const exempt = no_proxy ?? NO_PROXY;
  return {
    ...others,
    no_proxy: [...(exempt === undefined ? [] : [exempt]), 'localhost', '127.0.0.1', '::1', '[::1]'].join(','),
  };
}

function redirected(original: URL, from: URL, location: string): URL {
  const target = URL.parse(location, from.href);
  if (target === null) throw unreachable(from, 'it redirects to an address that is none');
  if (target.protocol !== 'https:' && target.protocol !== original.protocol) {
    throw unreachable(from, `it redirects to ${target.protocol}, where the download could be changed on its way`);
  }
  if (isLocal(target.hostname) && !isLocal(original.hostname)) {
    throw unreachable(from, `it redirects to ${target.hostname}, which is this machine or in a private network`);
  }
  target.username = '';
  target.password = '';
  return target;
}

/** Reads the size and hash of a big file, which Hugging Face names on the redirect to its storage. */
function linkedFile({ headers }: IncomingMessage): LinkedFile {
  const sha256 = /^"?([0-9a-f]{64})"?$/.exec(String(headers['x-linked-etag']))?.[1];
  const bytes = /^\d{1,15}$/.exec(String(headers['x-linked-size']))?.[0];
  return { ...(sha256 !== undefined && { sha256 }), ...(bytes !== undefined && { bytes: Number(bytes) }) };
}

/** Makes the error of a server that can't be had, with the reason. */
export function unreachable(url: URL, reason: string, cause?: unknown): SkeinError {
  return new SkeinError('model-unreachable', `cannot download from ${url.hostname}: ${reason}`, { cause });
}

/** Returns the reason of an aborted signal, an error that says already what is wrong, or one that names the failure. */
export function explainFailure(
  error: unknown,
  { url, signal }: { readonly url: URL; readonly signal: AbortSignal },
): unknown {
  if (signal.aborted) return signal.reason;
  if (isSkeinError(error)) return error;
  return unreachable(url, reasonOf(error), error);
}

/** Codes of certificates that no authority known here vouches for. */
const untrusted: readonly unknown[] = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

/** Explains why a connection failed. Passes on no text of the error's: that may name a proxy. */
function reasonOf(error: unknown): string {
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  if (untrusted.includes(code)) {
    const fix =
      'set NODE_EXTRA_CA_CERTS to a file with that of its authority, or NODE_USE_SYSTEM_CA=1 if the system has it';
    return `its certificate is not trusted here (${String(code)}); ${fix}`;
  }
  if (code === 'ERR_PROXY_TUNNEL') {
    return statusCode === 407
      ? 'the proxy wants other credentials (status 407); check those in HTTPS_PROXY'
      : `the proxy refuses the way there (status ${String(statusCode)}); check HTTPS_PROXY and NO_PROXY`;
  }
  return `the connection failed${typeof code === 'string' ? ` (${code})` : ''}`;
}
