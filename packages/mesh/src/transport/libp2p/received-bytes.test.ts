import { expect, test, vi } from 'vitest';

import { generatePrivateKey } from '../keys.ts';
import type { Transport } from '../transport.ts';
import { createLibp2pTransport } from './libp2p-transport.ts';

async function start(stack: AsyncDisposableStack): Promise<Transport> {
  const transport = await createLibp2pTransport({
    privateKey: await generatePrivateKey(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
  });
  await transport.start();
  stack.defer(async () => await transport.stop());
  return transport;
}

test('counts what comes off the network, so that handshakes show before any stream is open', async () => {
  await using stack = new AsyncDisposableStack();
  const [left, right] = [await start(stack), await start(stack)];
  expect(right.receivedBytes(left.peerId)).toBe(0);
  await left.dial(right.addresses());
  await vi.waitFor(() => {
    expect(right.receivedBytes(left.peerId)).toBeGreaterThan(0);
    expect(left.receivedBytes(right.peerId)).toBeGreaterThan(0);
  });
});
