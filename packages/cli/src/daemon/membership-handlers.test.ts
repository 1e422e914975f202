import { Authority, type Mesh } from '@skein/mesh';
import { decodeInvite, limits } from '@skein/protocol';
import { expect, test } from 'vitest';

import { everywhere } from './default-listen.ts';
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
  await expect(inviteTo(await machineAt([]), [everywhere])).rejects.toMatchObject({
    code: 'not-running',
    message: expect.stringContaining('no address that others can dial') as string,
  });
  for (const alone of ['/ip4/127.0.0.1/tcp/7330', '/ip6/fe80::1/tcp/7330']) {
    await expect(inviteTo(await machineAt([alone]), [everywhere])).rejects.toMatchObject({ code: 'not-running' });
  }
  const many = Array.from({ length: 40 }, (_, index) => `/ip4/10.0.0.${index}/tcp/7330/p2p/12D3KooWTestPeer0001`);
  expect(decodeInvite(await inviteTo(await machineAt(many), [everywhere])).addresses).toHaveLength(limits.maxAddresses);
});

test('makes one for this machine alone where nobody else was ever to come', async () => {
  const here = ['/ip4/127.0.0.1/tcp/7330'];
  expect(decodeInvite(await inviteTo(await machineAt(here), here)).addresses).toEqual(here);
});
