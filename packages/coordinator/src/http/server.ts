import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { createAdaptorServer, type HttpBindings } from '@hono/node-server';
import { SkeinError } from '@skein/protocol';
import type { Hono } from 'hono';

import { answerHalfClosed } from './half-closed.ts';
import { explainTakenPort } from './port-holder.ts';
import { RequestLanes } from './request-lanes.ts';

/** Longest time for answers to end by themselves once the server stops, in milliseconds. */
const drainMs = 500;
/**
 * Time for which a connection stays open between two requests, in milliseconds: longer than the pools of clients and
 * proxies keep one.
 */
const keepAliveMs = 80_000;
/**
 * Longest time for the headers of a request to come, in milliseconds. Beside it: that for all of it; a body has its
 * own, shorter deadline.
 */
const headersMs = 90_000;
const requestMs = 120_000;
/** Most connections at once. Where they get scarce, idle ones are closed. */
const maxConnections = 4096;
const scarceConnections = 3072;

/**
 * Makes a server of an app, for a TCP port, a socket or a named pipe to listen on. It bounds connections and how slow
 * requests may be.
 */
export function createAppServer(app: Pick<Hono, 'fetch'>): Server {
  const lanes = new RequestLanes();
  const fetch: Hono['fetch'] = async (request, env) => {
    await lanes.next(request.method, (env as HttpBindings).incoming.socket);
    return await app.fetch(request, env);
  };
  // Only `createServer` of node:http is used by default, so this is never one of the HTTP/2 kinds.
  const server = createAdaptorServer({ fetch, overrideGlobalObjects: false }) as Server;
  server.keepAliveTimeout = keepAliveMs;
  server.headersTimeout = headersMs;
  server.requestTimeout = requestMs;
  server.maxConnections = maxConnections;
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    socket.once('close', () => (connections -= 1));
    if (connections > scarceConnections) server.closeIdleConnections();
  });
  answerHalfClosed(server);
  return server;
}

/** An app on a TCP port. */
export class HttpServer {
  readonly #server: Server;
  readonly #host: string;
  readonly #port: number;

  constructor(app: Hono, { host, port }: { host: string; port: number }) {
    this.#server = createAppServer(app);
    this.#host = host;
    this.#port = port;
  }

  /**
   * Starts to listen. Resolves with the base URL once connections are accepted.
   *
   * @throws SkeinError `already-running` when the port is taken
   */
  async start(): Promise<string> {
    const listening = Promise.withResolvers<void>();
    this.#server.once('error', listening.reject);
    this.#server.listen(this.#port, this.#host, listening.resolve);
    try {
      await listening.promise;
    } catch (error) {
      throw await this.#listenError(error);
    } finally {
      this.#server.off('error', listening.reject);
    }
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** Accepts nothing more and closes all connections: idle ones at once, the others after half a second at most. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), drainMs);
    await closed.promise;
    clearTimeout(timer);
  }

  async #listenError(cause: unknown): Promise<SkeinError> {
    const [host, port] = [this.#host, this.#port];
    const where = `${host}:${port}`;
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'EADDRINUSE') {
      return new SkeinError('already-running', await explainTakenPort({ host, port }), { cause });
    }
    return new SkeinError('invalid-request', `can't listen on ${where} (${String(code)}); choose another port`, {
      cause,
    });
  }
}
