import type { NetworkInterfaceInfo } from 'node:os';

import { expect, test } from 'vitest';

import { isAnnounceable, reachableAddresses } from './addresses.ts';

function ipv4(address: string, internal = false): NetworkInterfaceInfo {
  return { address, internal, family: 'IPv4', netmask: '255.255.255.0', mac: '00:00:00:00:00:00', cidr: null };
}

const interfaces = {
  lo: [ipv4('127.0.0.1', true)],
  eth0: [ipv4('192.168.1.5')],
  wlan0: [ipv4('192.168.2.5')],
  docker0: [ipv4('172.17.0.1')],
  wg0: [ipv4('10.8.0.2')],
};

test('tells others the addresses that they can dial', () => {
  expect(reachableAddresses(['/ip4/0.0.0.0/tcp/4001/p2p/me'], { interfaces })).toEqual([
    '/ip4/192.168.1.5/tcp/4001/p2p/me',
    '/ip4/192.168.2.5/tcp/4001/p2p/me',
  ]);
  expect(reachableAddresses(['/ip4/0.0.0.0/tcp/4001'], { interfaces, only: ['wg0'] })).toEqual([
    '/ip4/10.8.0.2/tcp/4001',
  ]);
  const named = ['/ip4/10.8.0.2/tcp/4001'];
  expect(reachableAddresses(named, { interfaces })).toEqual(named);
});

test('tells each address once, and one of its family for each wildcard', () => {
  const eth0 = [...interfaces.eth0, { ...ipv4('2001:db8::7'), family: 'IPv6' as const, scopeid: 0 }];
  const bound = ['/ip4/192.168.1.5/tcp/4001', '/ip4/0.0.0.0/tcp/4001', '/ip6/::/tcp/4002'];
  expect(reachableAddresses(bound, { interfaces: { lo: interfaces.lo, eth0 } })).toEqual([
    '/ip4/192.168.1.5/tcp/4001',
    '/ip6/2001:db8::7/tcp/4002',
  ]);
});

test.each([
  ['/ip4/192.168.1.20/tcp/7330', true],
  ['/ip6/2001:db8::7/tcp/7330', true],
  ['/ip4/192.168.1.20/tcp/7330/p2p/12D3KooWTestPeer0001', true],
  ['/ip4/0.0.0.0/tcp/7330', false],
  ['/ip6/::/tcp/7330', false],
  ['/ip4/192.168.1.20/tcp/0', false],
  ['/dns4/attic.example/tcp/7330', false],
  ['/ip4/192.168.1.20/udp/7330', false],
])('tells whether %s can be announced: %s', (address, can) => {
  expect(isAnnounceable(address)).toBe(can);
});
