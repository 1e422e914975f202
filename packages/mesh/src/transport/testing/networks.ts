import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

import { createLibp2pTransport } from '../libp2p/libp2p-transport.ts';
import { MemoryNetwork } from '../memory/memory-network.ts';
import type { Transport, TransportOptions } from '../transport.ts';

/** A network for one test. */
export interface TestNetwork extends AsyncDisposable {
  readonly createTransport: (options: TransportOptions) => Promise<Transport>;
  /** Returns an address where connections are accepted, and nothing is ever said. */
  readonly listenSilently: () => Promise<string>;
}

/** The implementations of the transport, each with a maker of a network of its own. */
export const networks: readonly { readonly name: string; readonly open: () => TestNetwork }[] = [
  { name: 'libp2p over TCP', open: openLoopback },
  { name: 'in memory', open: openMemory },
];

function openLoopback(): TestNetwork {
  const stack = new AsyncDisposableStack();
  return {
    createTransport: createLibp2pTransport,
    async listenSilently() {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      stack.defer(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
      });
      return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function openMemory(): TestNetwork {
  const network = new MemoryNetwork();
  return {
    createTransport: async (options) => network.createTransport(options),
    listenSilently: async () => network.listenSilently(),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
