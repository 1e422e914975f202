import { hasCode, isSkeinError, SkeinError } from '@skein/protocol';
import type { z } from 'zod';

import { readText } from './read-text.ts';
import { errorFromResponse, explainLoss, parseJson } from './response-error.ts';

export interface EndpointRequest {
  readonly signal: AbortSignal;
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: object;
  /** Media type of the wanted answer, where the server offers several. */
  readonly accept?: string;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A function that sends a request, as the platform's `fetch` does. */
export type Fetch = (url: string, request: RequestInit) => Promise<Response>;

/** A coordinator's HTTP server. */
export class Endpoint {
  readonly #baseUrl: string;
  readonly #fetch: Fetch;

  /**
   * @param url e.g. `http://127.0.0.1:7331`; the `/v1` that OpenAI's clients want may follow
   * @param options.fetch another way to the server than TCP. Its own `SkeinError`s reach the caller. Default: the
   * platform's
   * @throws SkeinError `invalid-request` for a malformed URL
   */
  constructor(url: string, options: { readonly fetch?: Fetch | undefined } = {}) {
    this.#fetch = options.fetch ?? fetch;
    const parsed = URL.parse(url);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      throw new SkeinError('invalid-request', `"${url}" is not a URL like http://127.0.0.1:7331`);
    }
    this.#baseUrl = parsed.href.replace(/\/+$/, '').replace(/\/v1$/, '');
  }

  /**
   * Sends a request and returns its response, a successful one.
   *
   * @throws SkeinError the error that an unsuccessful response carries, `not-running` when nothing answers, `peer-lost`
   * when the connection breaks
   */
  async fetch(
    path: string,
    { signal, method = 'GET', body, accept, headers: more }: EndpointRequest,
  ): Promise<Response> {
    const headers = {
      ...more,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(accept !== undefined && { accept }),
    };
    const content = { headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
    let response;
    try {
      response = await this.#fetch(`${this.#baseUrl}${path}`, { method, signal, ...content });
    } catch (error) {
      if (isSkeinError(error)) throw error;
      if (hasConnected(error)) throw explainLoss(error);
      throw new SkeinError('not-running', `nothing answers at ${this.#baseUrl}; start it there with \`skein up\``, {
        cause: error,
      });
    }
    if (!response.ok) throw await errorFromResponse(response);
    return response;
  }

  /**
   * Sends a request and returns the JSON of its response, checked.
   *
   * @throws SkeinError as {@link fetch} does; `peer-lost` when the answer breaks off; `protocol-violation` when it does
   * not fit the schema
   */
  async json<Schema extends z.ZodType>(
    path: string,
    { schema, ...request }: EndpointRequest & { readonly schema: Schema },
  ): Promise<z.output<Schema>> {
    const response = await this.fetch(path, request);
    const text = await readText(response).catch((error: unknown) => Promise.reject(explainLoss(error)));
    return parseAnswer(schema, parseJson(text));
  }
}

/** Tells whether a request failed on a connection that existed: broken by the other side, not refused. */
function hasConnected(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].some((code) => hasCode(cause, code));
}

/**
 * Checks a coordinator's answer against a schema and returns it.
 *
 * @throws SkeinError `protocol-violation` when it does not fit
 */
export function parseAnswer<Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw new SkeinError('protocol-violation', 'the answer is not of the form that a Skein coordinator gives', {
    cause: result.error,
  });
}
