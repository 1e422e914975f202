import type { Certificate } from '@skein/protocol';
import { expect, test } from 'vitest';

import { chooseListenJoin, chooseListenUp, defaultListenUp, isReachable } from './default-listen.ts';

test('lets nobody in from outside unless told to', () => {
  expect(isReachable(defaultListenUp)).toBe(false);
});

const authority = '12D3KooWTestPeer0001';

/** The membership of a machine in a mesh whose authority is `authority`. */
function membershipOf(peer: string): Parameters<typeof chooseListenUp>[0]['membership'] {
  return {
    certificate: { ...certificate, peer },
    revocations: { mesh: authority, version: 1, issuedAt: 1, epoch: 1, graceEndsAt: 1, revoked: [], holder: authority },
  };
}
const certificate: Certificate = {
  mesh: authority,
  peer: authority,
  roles: ['coordinator'],
  name: 'attic',
  labels: {},
  epoch: 1,
  issuedAt: 1,
  expiresAt: 2,
};

test('lets others in where this machine joined theirs, and where its owner says how they reach it', () => {
  const members = ['/ip4/192.168.1.20/tcp/7330'];
  const joined = membershipOf('12D3KooWTestPeer0002');
  expect(chooseListenUp({ membership: joined, members })).toEqual(chooseListenJoin({ members }));
  expect(isReachable(chooseListenUp({ membership: joined, members: ['/ip4/127.0.0.1/tcp/7330'] }))).toBe(false);
  expect(isReachable(chooseListenUp({ membership: membershipOf(authority), members }))).toBe(false);
  expect(isReachable(chooseListenUp({ membership: undefined, members: [], announce: members }))).toBe(true);
  expect(isReachable(chooseListenUp({ membership: undefined, members: [], interface: ['wg0'] }))).toBe(true);
  expect(isReachable(chooseListenJoin({ members: ['/ip4/127.0.0.1/tcp/7330'], interface: ['wg0'] }))).toBe(true);
});

test('counts no address as reachable that means nothing to others', () => {
  expect(isReachable(['/ip6/fe80::1/tcp/7330', '/ip4/127.0.0.1/tcp/7330', '/ip6/::1/tcp/7330'])).toBe(false);
  expect(isReachable(['/ip6/fe80::1/tcp/7330', '/ip6/fd7a::1/tcp/7330'])).toBe(true);
});

test('listens as far as the invite reaches', () => {
  expect(isReachable(chooseListenJoin({ members: ['/ip4/127.0.0.1/tcp/7330/p2p/x', '/ip6/::1/tcp/1'] }))).toBe(false);
  expect(isReachable(chooseListenJoin({ members: ['/ip4/127.0.0.1/tcp/7330', '/ip4/192.168.1.20/tcp/7330'] }))).toBe(
    true,
  );
  expect(isReachable(chooseListenJoin({ members: ['/dns4/attic.local/tcp/7330'] }))).toBe(true);
});
