import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { freePort } from '../../bench/processes/free-port.ts';
import { startLlamaServer } from '../../bench/processes/llama-server.ts';
import { startPinned } from '../../bench/processes/pinned-process.ts';
import { isListening, untilReady } from '../../bench/processes/until-ready.ts';
import { fetchHaproxy } from '../../rivals/debian-haproxy.ts';
import type { ChatEndpoint } from '../ask.ts';
import { startSingle } from './skein.ts';
import { machines, replicaShape, type System, type SystemContext } from './system.ts';

type Balance = 'roundrobin' | 'leastconn';
type StartServer = (name: string, context: SystemContext) => Promise<ChatEndpoint & AsyncDisposable>;

/** The same machines, each a mesh of its own: Skein's engines with another router. */
export const skeinsByTurns: System = {
  name: 'HAProxy roundrobin, Skein',
  start: async (context) => await startBehindHaproxy('roundrobin', startSingle, context),
};

/** Three of llama.cpp's own servers. */
export const llamaServersByTurns: System = {
  name: 'HAProxy roundrobin, llama-server',
  start: async (context) => await startBehindHaproxy('roundrobin', llamaServer, context),
};

/** Three of llama.cpp's own servers. */
export const llamaServersByConnections: System = {
  name: 'HAProxy leastconn, llama-server',
  start: async (context) => await startBehindHaproxy('leastconn', llamaServer, context),
};

async function llamaServer(_name: string, context: SystemContext): Promise<ChatEndpoint & AsyncDisposable> {
  const { sequences: streams } = replicaShape;
  const contextTokens = replicaShape.contextTokens / streams;
  return await startLlamaServer({ cores: allCores(), streams, contextTokens, keepsPrompts: true }, context);
}

async function startBehindHaproxy(
  balance: Balance,
  startServer: StartServer,
  context: SystemContext,
): Promise<ChatEndpoint & AsyncDisposable> {
  const { directory, signal } = context;
  await using stack = new AsyncDisposableStack();
  const servers: ChatEndpoint[] = [];
  for (const name of machines) servers.push(stack.use(await startServer(name, context)));
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  await writeFile(file, configuration({ port, balance, urls: servers.map(({ url }) => url) }));
  const { program, variables } = await fetchHaproxy({ signal });
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const haproxy = stack.use(
    startPinned({
      name: 'haproxy',
      command: 'env',
      // In the foreground, as one process.
      commandLine: [...assignments, program, '-db', '-f', file],
      cores: allCores(),
      stop: 'signal',
      output: 'ignored',
    }),
  );
  await untilReady(haproxy, { isReady: async () => await isListening(port), signal });
  const [{ model, parameters } = { model: '', parameters: {} }] = servers;
  const running = stack.move();
  const url = `http://127.0.0.1:${port}`;
  return { url, model, parameters, [Symbol.asyncDispose]: async () => await running.disposeAsync() };
}

/** Each request of a connection is balanced by itself, in HTTP's mode. */
function configuration(options: {
  readonly port: number;
  readonly balance: Balance;
  readonly urls: readonly string[];
}): string {
  const servers = options.urls.map((url, index) => `  server replica${index} ${new URL(url).host}`);
  return [
    'defaults',
    '  mode http',
    '  timeout connect 5s',
    '  timeout client 5m',
    '  timeout server 5m',
    'listen replicas',
    `  bind 127.0.0.1:${options.port}`,
    `  balance ${options.balance}`,
    ...servers,
    '',
  ].join('\n');
}

function allCores(): readonly number[] {
  return Array.from({ length: availableParallelism() }, (_, core) => core);
}
