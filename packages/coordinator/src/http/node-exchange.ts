import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

/** Address of who asked; undefined when the app was called without Node's server. */
export function remoteAddress(context: Context): string | undefined {
  return (context.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress;
}

/** Node's own response to a request; undefined when the app was called without Node's server. */
export function nodeResponse(context: Context): HttpBindings['outgoing'] | undefined {
  return (context.env as Partial<HttpBindings> | undefined)?.outgoing;
}

/**
 * The bytes of a request's body as they come. Those of Node's own request where there is one: the web's streams would hand out
 * each chunk by itself, however small a client makes them.
 */
export function bodyChunks(context: Context): AsyncIterable<Uint8Array> {
  const incoming = (context.env as Partial<HttpBindings> | undefined)?.incoming;
  if (incoming === undefined) return context.req.raw.body ?? emptyBody();
  // Leaving a request early would destroy its connection, and the answer with it.
  return incoming.iterator({ destroyOnReturn: false });
}

async function* emptyBody(): AsyncGenerator<never, void, undefined> {}
