import { Authority, type Mesh } from '@skein/mesh';
import { decodeInvite, limits } from '@skein/protocol';
import { expect, test } from 'vitest';

import { inviteTo } from './membership-handlers.ts';

async function machineAt(addresses: readonly string[]) {
  const authority = await Authority.ephemeral();
  const mesh: Pick<Mesh, 'authority' | 'addresses' | 'peerId'> = {
    authority,
    addresses: () => addresses,
    peerId: '12D3KooWTestPeer0001',
  };
  return mesh as Mesh;
}

test('makes no invite that nobody could read or use', async () => {
  await expect(inviteTo(await machineAt([]))).rejects.toMatchObject({
    code: 'not-running',
    message: expect.stringContaining('no address that others can dial') as string,
  });
  const many = Array.from({ length: 40 }, (_, index) => `/ip4/10.0.0.${index}/tcp/7330/p2p/12D3KooWTestPeer0001`);
  expect(decodeInvite(await inviteTo(await machineAt(many))).addresses).toHaveLength(limits.maxAddresses);
});
