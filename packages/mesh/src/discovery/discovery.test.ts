import { createSocket } from 'node:dgram';
import type { NetworkInterfaceInfo } from 'node:os';

import { methods, SkeinError, silentLogger } from '@skein/protocol';
import { expect, test, vi } from 'vitest';

import { createIdentity, type Identity } from '../identity/identity.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { reachableAddresses } from './addresses.ts';
import { backoffMs } from './backoff.ts';
import { Dialer } from './dialer.ts';
import { chooseInterfaces } from './interfaces.ts';

const ipv4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  internal,
  family: 'IPv4',
  netmask: '255.255.255.0',
  mac: '00:00:00:00:00:00',
  cidr: null,
});

const laptop = {
  lo: [ipv4('127.0.0.1', true)],
  eth0: [ipv4('192.168.1.5')],
  wlan0: [ipv4('192.168.2.5')],
  docker0: [ipv4('172.17.0.1')],
  'br-4f2a': [ipv4('172.18.0.1')],
  wg0: [ipv4('10.8.0.2')],
  eth1: [ipv4('169.254.3.4')],
};

test('uses physical interfaces, and others only when they are named', () => {
  expect(chooseInterfaces(laptop).map(({ name }) => name)).toEqual(['eth0', 'wlan0']);
  expect(chooseInterfaces(laptop, { only: ['wg0'] }).map(({ name }) => name)).toEqual(['wg0']);
  expect(chooseInterfaces({ lo: laptop.lo }).map(({ name }) => name)).toEqual(['lo']);
  expect(chooseInterfaces(laptop, { loopbackOnly: true }).map(({ name }) => name)).toEqual(['lo']);
});

test('tells others the addresses that they can dial', () => {
  const bound = Object.values(laptop).map(([info]) => `/ip4/${info?.address ?? ''}/tcp/4001`);
  expect(reachableAddresses(bound, { listen: ['/ip4/0.0.0.0/tcp/4001'], interfaces: laptop })).toEqual([
    '/ip4/192.168.1.5/tcp/4001',
    '/ip4/192.168.2.5/tcp/4001',
  ]);
  const named = ['/ip4/10.8.0.2/tcp/4001'];
  expect(reachableAddresses(named, { listen: named, interfaces: laptop })).toEqual(named);
});

test('waits longer after every failure, up to fifteen seconds, and not as long as everyone else', () => {
  expect(backoffMs(1, 0)).toBe(125);
  expect(backoffMs(1, 0.999)).toBeGreaterThan(240);
  expect(backoffMs(4, 0)).toBe(1000);
  expect(backoffMs(50, 1)).toBe(15_000);
});

test('dials again until it is answered, forgets hearsay that never is, and keeps what a person said', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const attempts: string[] = [];
    const dialer = new Dialer({
      ownPeerId: 'z',
      logger: silentLogger,
      random: () => 0,
      isConnected: () => false,
      connect: async (addresses) => {
        attempts.push(addresses.join());
        throw new SkeinError('peer-lost', 'nobody there');
      },
    });
    dialer.learn('explicit', ['/ip4/10.0.0.1/tcp/1'], undefined);
    dialer.learn('card', ['/ip4/10.0.0.2/tcp/1'], 'gone');
    dialer.start();
    await vi.advanceTimersByTimeAsync(600_000);
    const explicit = attempts.filter((address) => address === '/ip4/10.0.0.1/tcp/1');
    const hearsay = attempts.filter((address) => address === '/ip4/10.0.0.2/tcp/1/p2p/gone');
    expect(hearsay).toHaveLength(10);
    expect(explicit.length).toBeGreaterThan(40);
    dialer.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(attempts).toHaveLength(explicit.length + hearsay.length);
  } finally {
    vi.useRealTimers();
  }
});

test('lets two members that dial each other at the same moment serve each other', async () => {
  await using cluster = new Cluster();
  // Each knows the other's address before either runs.
  const [left, right] = [await reserve(cluster), await reserve(cluster)];
  const members = await Promise.all([
    cluster.add([], { ...left, peers: right.addresses }),
    cluster.add([], { ...right, peers: left.addresses }),
  ]);
  for (const member of members) await untilCards(member, (cards) => cards.length === 2);
  for (const [caller, callee] of [members, members.toReversed()] as const) {
    callee?.handle(methods.manifest, async (stream) => await stream.write({ type: 'here' }));
    const stream = await caller?.open(callee?.peerId ?? '', methods.manifest);
    expect((await stream?.read())?.header).toEqual({ type: 'here' });
  }
});

test('finds members on the loopback interface by itself, and none of another mesh', async (context) => {
  if (!(await loopbackCarriesMulticast())) context.skip('this machine carries no multicast on its loopback interface');
  await using cluster = new Cluster();
  await using otherMesh = new Cluster();
  const members = [await cluster.add([], { mdns: true }), await cluster.add([], { mdns: true })];
  const outsider = await otherMesh.add([], { mdns: true });
  for (const member of members) await untilCards(member, (cards) => cards.length === 2);
  expect(outsider.connectedPeers()).toEqual([]);
});

/** An identity and a port that was free a moment ago. */
async function reserve(cluster: Cluster): Promise<{ identity: Identity; listen: string[]; addresses: string[] }> {
  const identity = await createIdentity();
  const probe = await cluster.add([], { identity });
  const addresses = [...probe.addresses()];
  await probe.stop();
  return { identity, addresses, listen: addresses.map((address) => address.replace(/\/p2p\/.*/, '')) };
}

/** Sends a multicast packet to ourselves; false when it doesn't come within a second. */
async function loopbackCarriesMulticast(): Promise<boolean> {
  const group = '224.0.0.251';
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const outcome = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => outcome.resolve(false), 1000);
  socket.on('message', () => outcome.resolve(true));
  socket.on('error', () => outcome.resolve(false));
  socket.bind(0, () => {
    try {
      socket.addMembership(group, '127.0.0.1');
      socket.setMulticastInterface('127.0.0.1');
      socket.setMulticastLoopback(true);
      socket.send('hello', socket.address().port, group);
    } catch {
      outcome.resolve(false);
    }
  });
  const carried = await outcome.promise;
  clearTimeout(timer);
  socket.close();
  return carried;
}
