import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';

import type { HttpTarget } from './http-attack.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export type Headers = Readonly<Record<string, string | number>>;

const timeoutMs = 60_000;

/** Begins a POST of JSON, on a connection of its own. The caller still has to send the body. */
export function beginPost({ port }: HttpTarget, path: string, headers: Headers = {}): ClientRequest {
  return request({
    port,
    host: '127.0.0.1',
    path,
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(timeoutMs),
  });
}

/** Reads the answer to a request to its end. */
export async function answerOf(sent: ClientRequest): Promise<Answer> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, text };
}

/** Sends a POST with a body and returns the answer. */
export async function post(
  target: HttpTarget,
  path: string,
  body: string | Uint8Array,
  headers?: Headers,
): Promise<Answer> {
  const length = Buffer.byteLength(body);
  const sent = beginPost(target, path, { 'content-length': length, ...headers });
  const answer = answerOf(sent);
  sent.end(body);
  return await answer;
}

/**
 * Checks that an answer has one of these statuses and that an error is explained in JSON, without any of V8's words.
 *
 * @throws Error when it is another answer
 */
export async function expectStatus(answer: Promise<Answer>, ...statuses: readonly number[]): Promise<void> {
  const { status, text } = await answer;
  if (!statuses.includes(status))
    throw new Error(`answered ${status}, not ${statuses.join(' or ')}: ${text.slice(0, 200)}`);
  if (status >= 400 && !/^{"error":{"message":".+","type":".+","param":.+,"code":".+"}}$/.test(text)) {
    throw new Error(`the error is not explained: ${text.slice(0, 200)}`);
  }
}

/** Opens a plain TCP connection to the server. Its errors show only in its `close`. */
export async function dial({ port }: HttpTarget, options: { readonly allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', ...options });
  const failed = once(socket, 'error');
  failed.catch(() => undefined);
  await Promise.race([once(socket, 'connect'), failed.then(([error]) => Promise.reject(error as Error))]);
  socket.on('error', () => undefined);
  return socket;
}

/** Sends bytes over plain TCP and returns the answer until the connection ends, or `waitMs` have passed. Default: 5,000. */
export async function exchange(
  target: HttpTarget,
  bytes: string | Uint8Array,
  { waitMs = 5000 }: { readonly waitMs?: number } = {},
): Promise<string> {
  const socket = await dial(target);
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, waitMs);
  socket.once('close', () => over.resolve());
  socket.write(bytes);
  await over.promise;
  clearTimeout(timer);
  socket.destroy();
  return text;
}

/** Returns the bytes of a POST request as text. */
export function rawPost(path: string, body: string, headers: Headers = {}): string {
  const all = {
    host: 'localhost',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

/** Waits for a time. */
export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Does something `count` times at once, and waits for all. */
export async function atOnce(count: number, act: (index: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, async (_, index) => await act(index)));
}
