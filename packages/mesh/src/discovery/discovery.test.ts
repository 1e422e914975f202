import { createSocket } from 'node:dgram';

import { methods, SkeinError, silentLogger } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { createIdentity, type Identity } from '../identity/identity.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { backoffMs } from './backoff.ts';
import { Dialer } from './dialer.ts';

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

test('dials again at once where the network has changed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const attempts: string[] = [];
    const dialer = new Dialer({
      ownPeerId: 'z',
      logger: silentLogger,
      random: () => 0,
      isConnected: (peerId) => peerId === 'friend',
      connect: async (addresses) => {
        attempts.push(addresses.join());
        throw new SkeinError('peer-lost', 'nobody there');
      },
    });
    dialer.learn('explicit', ['/ip4/10.0.0.1/tcp/1'], undefined);
    dialer.learn('card', ['/ip4/10.0.0.2/tcp/1'], 'friend');
    dialer.start();
    await vi.advanceTimersByTimeAsync(600_000);
    // Right after a failure: the next pause is a long one.
    await vi.advanceTimersToNextTimerAsync();
    attempts.length = 0;
    dialer.retry();
    await vi.advanceTimersByTimeAsync(0);
    expect(attempts).toEqual(['/ip4/10.0.0.1/tcp/1']);
    dialer.stop();
  } finally {
    vi.useRealTimers();
  }
});

/** A dialer all of whose dials hang until the clock's timeout, and what it has dialled. */
function hangingDialer(connected: (peerId: string) => boolean = () => false) {
  const dialled: string[] = [];
  const open = { now: 0, most: 0 };
  const dialer = new Dialer({
    ownPeerId: '0',
    logger: silentLogger,
    random: () => 0,
    isConnected: connected,
    connect: async (addresses, signal) => {
      dialled.push(...addresses);
      open.most = Math.max(open.most, ++open.now);
      // Not AbortSignal.timeout's own clock, which is not faked.
      await new Promise((resolve) => setTimeout(resolve, 3000));
      open.now -= 1;
      signal.throwIfAborted();
      throw new SkeinError('peer-lost', 'nobody there');
    },
  });
  return { dialer, dialled, open };
}

describe('made-up members', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const flood = (dialer: Dialer, hosts: number, perHost: number) => {
    for (let index = 0; index < hosts * perHost; index++) {
      const host = `10.0.${Math.floor(index / perHost / 250)}.${(Math.floor(index / perHost) % 250) + 1}`;
      dialer.learn('mdns', [`/ip4/${host}/tcp/${1000 + index}`], `fake${index}`);
    }
  };

  test('are dialled a few at a time, and a few of each host', async () => {
    const { dialer, dialled, open } = hangingDialer();
    dialer.start();
    flood(dialer, 1, 1100);
    dialer.learn('mdns', ['/ip4/10.9.9.9/tcp/1'], 'real');
    await vi.advanceTimersByTimeAsync(4000);
    expect(dialled).toContain('/ip4/10.9.9.9/tcp/1/p2p/real');
    expect(new Set(dialled).size).toBe(9);
    flood(dialer, 100, 11);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open.most).toBeLessThanOrEqual(16);
    dialer.stop();
  });

  test('do not keep a member waiting that another member or a person vouches for', async () => {
    const { dialer, dialled } = hangingDialer();
    dialer.start();
    flood(dialer, 200, 8);
    await vi.advanceTimersByTimeAsync(10);
    dialer.learn('card', ['/ip4/10.9.9.9/tcp/1'], 'real');
    dialer.learn('explicit', ['/ip4/10.9.9.8/tcp/1'], undefined);
    await vi.advanceTimersByTimeAsync(10);
    expect(dialled).toContain('/ip4/10.9.9.9/tcp/1/p2p/real');
    expect(dialled).toContain('/ip4/10.9.9.8/tcp/1');
    expect(dialer.addressesOf('real')).toEqual(['/ip4/10.9.9.9/tcp/1/p2p/real']);
    dialer.stop();
  });

  test('do not push out a member that is connected, and make room for those found later', async () => {
    const { dialer } = hangingDialer((peerId) => peerId === 'member');
    dialer.start();
    dialer.learn('mdns', ['/ip4/10.8.8.8/tcp/1'], 'member');
    flood(dialer, 200, 8);
    await vi.advanceTimersByTimeAsync(20_000);
    dialer.learn('mdns', ['/ip4/10.9.9.9/tcp/1'], 'later');
    expect(dialer.addressesOf('member')).toHaveLength(1);
    expect(dialer.addressesOf('later')).toHaveLength(1);
    dialer.stop();
  });
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
