import { expect, test, vi } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import { Arrivals } from './arrivals.ts';
import { createHost } from './create-host.ts';

async function startHost() {
  const cutOff = vi.fn<(peerId: string) => void>();
  const arrivals = new Arrivals((_, peer) => cutOff(peer));
  const { privateKey, peerId } = await createIdentity();
  const host = await createHost({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], arrivals });
  await host.start();
  return { host, arrivals, cutOff, peerId, [Symbol.asyncDispose]: async () => await host.stop() };
}

test('counts what comes over all connections of a remote, for as long as there is one', async () => {
  await using left = await startHost();
  await using right = await startHost();
  await right.host.handle('/parts/1', () => undefined);
  expect(right.arrivals.bytesFrom(left.peerId)).toBe(0);
  const first = await left.host.dial(right.host.getMultiaddrs());
  const second = await left.host.dial(right.host.getMultiaddrs(), { force: true });
  await expect.poll(() => right.arrivals.bytesFrom(left.peerId)).toBeGreaterThan(0);
  right.arrivals.admit(left.peerId);
  for (const connection of [first, second]) {
    const before = right.arrivals.bytesFrom(left.peerId);
    const stream = await connection.newStream('/parts/1');
    stream.send(new Uint8Array(100_000));
    await expect.poll(() => right.arrivals.bytesFrom(left.peerId) - before).toBeGreaterThan(100_000);
  }
  expect(left.arrivals.bytesFrom(right.peerId)).toBeGreaterThan(0);

  await first.close();
  await expect.poll(() => right.host.getConnections()).toHaveLength(1);
  expect(right.arrivals.bytesFrom(left.peerId)).toBeGreaterThan(200_000);
  await second.close();
  await expect.poll(() => right.arrivals.bytesFrom(left.peerId)).toBe(0);
});

test.each([
  ['who dialled', 'left', 100_000],
  ['who was dialled', 'right', 3_000_000],
] as const)('cuts %s off when much comes before the gate', async (_, sender, bytes) => {
  await using left = await startHost();
  await using right = await startHost();
  const [from, to] = sender === 'left' ? [left, right] : [right, left];
  await to.host.handle('/parts/1', (stream) => stream.addEventListener('message', () => undefined));
  await left.host.dial(right.host.getMultiaddrs());
  const connection = await vi.waitUntil(() => from.host.getConnections()[0]);
  const closed = new Promise((resolve) => connection.addEventListener('close', resolve));
  const stream = await connection.newStream('/parts/1');
  const chunk = new Uint8Array(10_000);
  stream.send(chunk);
  await expect.poll(() => to.arrivals.bytesFrom(from.peerId)).toBeGreaterThan(chunk.byteLength);
  expect(to.cutOff).not.toHaveBeenCalled();
  for (let sent = chunk.byteLength; sent < bytes && connection.status === 'open'; sent += chunk.byteLength) {
    if (!stream.send(chunk)) await Promise.race([stream.onDrain().catch(() => undefined), closed]);
  }
  await closed;
  expect(to.cutOff).toHaveBeenCalledExactlyOnceWith(from.peerId);
});
