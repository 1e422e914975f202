import { sign, verify } from 'node:crypto';

import { expect, test } from 'vitest';

import { isSignedBy } from '../transport/keys.ts';
import { createIdentity } from './identity.ts';
import { peerIdOf, publicKeyOf, signingKeyOf } from './node-keys.ts';

const message = Buffer.from('what a member says');

test('signs with the key of an identity what its peer id verifies', async () => {
  const identity = await createIdentity();
  const publicKey = publicKeyOf(identity.peerId);
  expect(verify(null, message, publicKey, sign(null, message, signingKeyOf(identity)))).toBe(true);
  expect(await isSignedBy(identity.peerId, message, sign(null, message, signingKeyOf(identity)))).toBe(true);
  const other = await createIdentity();
  expect(verify(null, message, publicKey, sign(null, message, signingKeyOf(other)))).toBe(false);
});

test('finds the peer id of a key', async () => {
  const { peerId } = await createIdentity();
  expect(peerIdOf(publicKeyOf(peerId))).toBe(peerId);
});

test.each(['', 'nobody', '12D3KooWTestPeer0001', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'])(
  'refuses %j, which is the id of no member',
  (text) => expect(() => publicKeyOf(text)).toThrow(/is no peer id/),
);
