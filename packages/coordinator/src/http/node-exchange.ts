import type { HttpBindings } from '@hono/node-server';
import { SkeinError } from '@skein/protocol';
import type { Context } from 'hono';

/** Returns the address of the client; undefined when the app was called without Node's server. */
export function remoteAddress(context: Context): string | undefined {
  return (context.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress;
}

/** Returns Node's own response to a request; undefined when the app was called without Node's server. */
export function nodeResponse(context: Context): HttpBindings['outgoing'] | undefined {
  return (context.env as Partial<HttpBindings> | undefined)?.outgoing;
}

const requestIdHeader = 'x-request-id';

/** Names the request in its answer, whatever that is: clients show it beside errors. */
export function showRequestId(context: Context, id: string): void {
  nodeResponse(context)?.setHeader(requestIdHeader, id);
}

/** Returns the id that was shown; undefined for a request that is no generation, or came without Node's server. */
export function requestIdOf(context: Context): string | undefined {
  const id = nodeResponse(context)?.getHeader(requestIdHeader);
  return typeof id === 'string' ? id : undefined;
}

/** Most chunks of any body, whatever its size. Beside it: the least average bytes of further chunks. */
const freeChunks = 1024;
const leastChunkBytes = 64;

/**
 * Yields the bytes of a request's body as they come: from Node's own request where there is one, since the web's
 * streams cost more.
 *
 * @throws SkeinError `invalid-request` for chunks of a few bytes, each of which costs as much as a large one
 */
export async function* bodyChunks(context: Context): AsyncGenerator<Uint8Array, void, undefined> {
  const incoming = (context.env as Partial<HttpBindings> | undefined)?.incoming;
  if (incoming === undefined) {
    if (context.req.raw.body !== null) yield* context.req.raw.body;
    return;
  }
  let [chunks, bytes] = [0, 0];
  // Leaving a request early would destroy its connection, and the answer with it.
  for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    chunks += 1;
    bytes += chunk.byteLength;
    if (chunks > freeChunks + bytes / leastChunkBytes) {
      throw new SkeinError('invalid-request', 'the request body comes in chunks of a few bytes; send larger ones');
    }
    yield chunk;
  }
}
