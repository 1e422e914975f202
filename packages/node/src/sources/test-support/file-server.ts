import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Certificate } from './certificate.ts';

/** Behaviour of a {@link FileServer}; change it at any time. */
export interface FileServerBehaviour {
  content: Uint8Array;
  /** Files by the last segment of their URL's path, instead of `content`, each with the SHA-256 to name. */
  files?: Readonly<Record<string, { readonly content: Uint8Array; readonly sha256: string }>>;
  /** SHA-256 to send as Hugging Face does: on a redirect to the content. */
  linkedSha256?: string;
  /** Whether to send everything, whatever range is asked for. */
  ignoresRanges?: boolean;
  /** Bytes of an answer after which the connection is cut. */
  cutsAfterBytes?: number;
  /** Bytes that are sent in one turn of the event loop, until nobody listens any more. Default: all. */
  drips?: number;
  /** Bytes of an answer after which nothing more is sent. */
  stallsAfterBytes?: number;
  status?: number;
  /** Header `etag`. Default: `"first"`. */
  etag?: string;
  /** URL to which every request is redirected. */
  redirect?: string;
  /** Answer to every request for the list of a repository's files; any JSON. */
  list?: unknown;
  /** Access token without which nothing is given but by the storage. */
  token?: string;
}

/** A web server on loopback that serves one file. */
export interface FileServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly behaviour: FileServerBehaviour;
  /** Headers `range` of the GET requests for content so far; an empty string where there was none. */
  readonly ranges: string[];
  /** All requests so far: method, URL as it was sent, and the header with the access token. */
  readonly requests: { readonly method: string; readonly url: string; readonly authorization: string | undefined }[];
}

/**
 * Starts a web server on loopback that serves one file, with a behaviour that the test may change at any time.
 *
 * @param options.certificate of a server with HTTPS. Default: plain HTTP
 * @param options.host address to listen on. Default: 127.0.0.1
 */
export async function startFileServer(
  initial: FileServerBehaviour,
  { certificate, host = '127.0.0.1' }: { readonly certificate?: Certificate; readonly host?: string } = {},
): Promise<FileServer> {
  const behaviour = { ...initial };
  const ranges: string[] = [];
  const requests: FileServer['requests'] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, authorization: headers.authorization });
    serve(behaviour, ranges, { request, response });
  };
  const server = certificate === undefined ? createServer(answer) : createTlsServer(certificate, answer);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `${certificate === undefined ? 'http' : 'https'}://${host}:${port}`,
    behaviour,
    ranges,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(
  behaviour: FileServerBehaviour,
  ranges: string[],
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): void {
  const { redirect, status, files, list, token } = behaviour;
  // A request to a proxy has a whole URL.
  const path = (request.url ?? '').replace(/^http:\/\/[^/]*/, '');
  const file = files?.[path.slice(path.lastIndexOf('/') + 1)];
  const content = file?.content ?? behaviour.content;
  const linkedSha256 = file?.sha256 ?? behaviour.linkedSha256;
  if (status !== undefined) return void response.writeHead(status).end();
  const isOpen =
    token === undefined || path.startsWith('/storage') || request.headers.authorization === `Bearer ${token}`;
  if (!isOpen) return void response.writeHead(401).end();
  if (list !== undefined && path.startsWith('/api/models/')) return void response.end(JSON.stringify(list));
  if (files !== undefined && file === undefined) return void response.writeHead(404).end();
  if (redirect !== undefined) return void response.writeHead(302, { location: redirect }).end();
  if (linkedSha256 !== undefined && !path.startsWith('/storage')) {
    const linked = { 'x-linked-etag': `"${linkedSha256}"`, 'x-linked-size': content.byteLength };
    const location = file === undefined ? '/storage' : `/storage${path}`;
    return void response.writeHead(302, { ...linked, location, 'content-length': 0 }).end();
  }
  const isRanged = behaviour.ignoresRanges !== true;
  const [, asked, last] = (isRanged ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null) ?? [];
  const start = Number(asked ?? 0);
  const end = last === undefined || last === '' ? content.byteLength : Number(last) + 1;
  const range = `bytes ${start}-${end - 1}/${content.byteLength}`;
  response.writeHead(asked === undefined ? 200 : 206, {
    'content-length': end - start,
    etag: behaviour.etag ?? '"first"',
    ...(asked !== undefined && { 'content-range': range }),
  });
  if (request.method === 'HEAD') return void response.end();
  ranges.push(request.headers.range ?? '');
  send(behaviour, content.subarray(start, end), response);
}

function send(behaviour: FileServerBehaviour, content: Uint8Array, response: ServerResponse): void {
  const { cutsAfterBytes, stallsAfterBytes, drips } = behaviour;
  if (drips !== undefined) drip(content, drips, response);
  else if (stallsAfterBytes !== undefined) response.write(content.subarray(0, stallsAfterBytes));
  else if (cutsAfterBytes === undefined) response.end(content);
  else response.write(content.subarray(0, cutsAfterBytes), () => response.destroy());
}

function drip(content: Uint8Array, bytes: number, response: ServerResponse): void {
  if (response.destroyed) return;
  if (content.byteLength <= bytes) return void response.end(content);
  response.write(content.subarray(0, bytes), () => setImmediate(drip, content.subarray(bytes), bytes, response));
}
