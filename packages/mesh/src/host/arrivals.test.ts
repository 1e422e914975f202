import { expect, test } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import { Arrivals } from './arrivals.ts';
import { createHost } from './create-host.ts';

async function startHost() {
  const arrivals = new Arrivals();
  const { privateKey, peerId } = await createIdentity();
  const host = await createHost({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], arrivals });
  await host.start();
  return { host, arrivals, peerId, [Symbol.asyncDispose]: async () => await host.stop() };
}

test('counts what comes over all connections of a remote, for as long as there is one', async () => {
  await using left = await startHost();
  await using right = await startHost();
  await right.host.handle('/parts/1', () => undefined);
  expect(right.arrivals.bytesFrom(left.peerId)).toBe(0);
  const first = await left.host.dial(right.host.getMultiaddrs());
  const second = await left.host.dial(right.host.getMultiaddrs(), { force: true });
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
