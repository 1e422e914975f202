import { connect, createServer, type Socket } from 'node:net';

import { expect, test } from 'vitest';

import { Cluster } from '../../testing/cluster.ts';

test('lets a member in while strangers at several addresses connect and say nothing', async (context) => {
  if (!(await hasManyLoopbackAddresses())) context.skip('this machine has one loopback address only');
  await using cluster = new Cluster();
  const member = await cluster.add([], { listen: ['/ip4/127.0.0.1/tcp/0'] });
  const port = Number(/\/tcp\/(\d+)/.exec(member.addresses()[0] ?? '')?.[1]);
  using strangers = new SilentStrangers(port);
  for (let host = 2; host <= 7; host++) for (let count = 0; count < 20; count++) strangers.connect(`127.0.0.${host}`);
  await strangers.untilRefused(20);

  const late = await cluster.add([member]);
  await expect.poll(() => late.connectedPeers(), { timeout: 10_000 }).toEqual([member.peerId]);
});

/** Connections that never send a byte, each of which is made again when it is closed. */
class SilentStrangers implements Disposable {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #refused = Promise.withResolvers<void>();
  #refusals = 0;
  #awaited = Infinity;
  #stopped = false;

  constructor(port: number) {
    this.#port = port;
  }

  connect(localAddress: string): void {
    if (this.#stopped) return;
    const socket = connect({ port: this.#port, host: '127.0.0.1', localAddress });
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (++this.#refusals >= this.#awaited) this.#refused.resolve();
      setTimeout(() => this.connect(localAddress), 100);
    });
    socket.resume();
  }

  async untilRefused(count: number): Promise<void> {
    this.#awaited = count;
    if (this.#refusals >= count) return;
    await this.#refused.promise;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function hasManyLoopbackAddresses(): Promise<boolean> {
  const server = createServer();
  const outcome = Promise.withResolvers<boolean>();
  server.on('error', () => outcome.resolve(false));
  server.listen(0, '127.0.0.2', () => outcome.resolve(true));
  const hasMany = await outcome.promise;
  server.close();
  return hasMany;
}
