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
