import { createHash } from 'node:crypto';

import { limits, memberDigestBytes } from '@skein/protocol';

/** A member in a list of members, see {@link digestOf}. */
export type MemberDigest = string;

/** Returns the digest by which a list names a member. */
export function digestOf(peerId: string): MemberDigest {
  return createHash('sha256')
    .update(peerId)
    .digest('hex')
    .slice(0, memberDigestBytes * 2);
}

/**
 * Encodes the members whose cards we get from themselves, as they are told to a neighbour on the stream of cards. Of
 * more than fit those that are left out have their cards passed on to us, too.
 */
export function listMembers(peerIds: Iterable<string>): Uint8Array {
  const digests = [...new Set([...peerIds].map(digestOf))].sort();
  return Uint8Array.from(Buffer.from(digests.slice(0, limits.maxFirsthand).join(''), 'hex'));
}

/** Decodes what {@link listMembers} returns. */
export function membersListed(list: Uint8Array): ReadonlySet<MemberDigest> {
  const hex = Buffer.from(list).toString('hex');
  return new Set(hex.match(new RegExp(`.{${memberDigestBytes * 2}}`, 'g')));
}
