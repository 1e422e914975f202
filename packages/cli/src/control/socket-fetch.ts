import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { Fetch } from '@skein/client';
import { SkeinError } from '@skein/protocol';

/**
 * Makes a `fetch` that sends its one request over an open connection. It throws SkeinError `protocol-violation` when
 * the other side speaks no HTTP.
 *
 * @param explain makes the error of a connection that breaks, before the answer or in it
 */
export function fetchOver(socket: Socket, explain: (cause: unknown) => Error): Fetch {
  const failure = (cause: unknown): Error => (isParseError(cause) ? noHttp(cause) : explain(cause));
  return async (url, { method = 'GET', headers, body, signal }) => {
    const { pathname, search } = new URL(url);
    const outgoing = request({
      createConnection: () => socket,
      method,
      path: `${pathname}${search}`,
      headers: Object.fromEntries(new Headers(headers)),
      ...(signal instanceof AbortSignal && { signal }),
    });
    const answer = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    // A later break shows in the answer's body.
    outgoing.on('error', () => undefined);
    outgoing.end(body);
    const [incoming] = await answer.catch((error: unknown) => Promise.reject(failure(error)));
    return responseOf(incoming, failure);
  };
}

function responseOf(incoming: IncomingMessage, failure: (cause: unknown) => Error): Response {
  const { statusCode: status = 500, headers } = incoming;
  const named = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  return new Response(ReadableStream.from(chunksOf(incoming, failure)), { status, headers: named });
}

/** Yields the chunks of an answer. Closes the connection when the caller leaves early. */
async function* chunksOf(incoming: IncomingMessage, failure: (cause: unknown) => Error): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of incoming) yield chunk as Uint8Array;
  } catch (error) {
    throw failure(error);
  }
}

function isParseError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('HPE_');
}

function noHttp(cause: unknown): SkeinError {
  return new SkeinError(
    'protocol-violation',
    'what runs here is no daemon of this version of Skein; end its process by hand, then run `skein up` or `skein join` again',
    { cause },
  );
}
