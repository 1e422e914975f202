import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** Answers of the server, by path. An error thrown in one is the test's own fault. */
export type Script = Record<string, (response: ServerResponse, body: unknown) => void>;

export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
}

/** Starts a server on loopback that answers `/health`, and all other paths by the script. */
export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    const body = request.method === 'POST' ? await json(request) : undefined;
    const answer = script[path];
    if (answer !== undefined) answer(response, body);
    else response.writeHead(path === '/health' ? 200 : 404).end();
  };
  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Begins a stream of events. Returns the function that sends one: text as it is, all else as JSON. */
export function beginEvents(response: ServerResponse): (data: unknown) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  return (data) => void response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
}

/** Makes a chunk of a chat completion that adds text. */
export function textChunk(content: string): object {
  return { choices: [{ index: 0, delta: { content }, finish_reason: null }] };
}

/** The chunks that end a chat completion in order. */
export const endChunks: readonly unknown[] = [
  { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
  { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
  '[DONE]',
];
