import {
  cardSchema,
  cardSignatureContext,
  decodeValue,
  encodeValue,
  limits,
  parseHeader,
  signedCardSchema,
  SkeinError,
  type Card,
  type Certificate,
  type Frame,
  type Signed,
} from '@skein/protocol';

import type { Membership } from '../membership/membership.ts';
import { roleBeyond } from '../membership/role-beyond.ts';
import { ownedCopy } from '../membership/statement.ts';
import { isSignedBy, type PrivateKey } from '../transport/keys.ts';

/** A card together with the bytes that its member signed, as they travel. */
export interface SignedCard {
  readonly card: Card;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  /** The authority's statement about its member. */
  readonly certificate: Signed;
}

const context = new TextEncoder().encode(cardSignatureContext);

/**
 * Signs a card.
 *
 * @throws SkeinError `frame-too-large` for one that others would refuse
 */
export async function signCard(
  card: Card,
  { privateKey, certificate }: { readonly privateKey: PrivateKey; readonly certificate: Signed },
): Promise<SignedCard> {
  const bytes = encodeValue(card);
  assertSize(bytes);
  const signature = await privateKey.sign(Buffer.concat([context, bytes]));
  return { card, bytes, signature, certificate };
}

/**
 * Checks a received card: its size, its schema, the signature by its member, and that this is a member in all the roles
 * that the card claims.
 *
 * @throws SkeinError `frame-too-large`, `protocol-violation`, `not-a-member` or `not-permitted`
 */
export async function verifyCard(frame: Frame, membership: Membership): Promise<SignedCard> {
  const { signature, certificate } = parseHeader(signedCardSchema, frame.header);
  assertSize(frame.payload);
  // Kept for long, so not as a view of a larger received chunk.
  const bytes = Uint8Array.from(frame.payload);
  const content = parseHeader(cardSchema, decodeValue(bytes));
  const claims = await membership.verify(certificate, content.peer);
  const card = withClaims(content, claims);
  const claimed = roleBeyond(claims, card.roles);
  if (claimed !== undefined) {
    throw new SkeinError('not-permitted', `a card claims the role ${claimed}, which its member was not given`);
  }
  if (!(await isSignedBy(card.peer, Buffer.concat([context, bytes]), signature))) {
    throw new SkeinError('protocol-violation', 'a card is not signed by the member it speaks of');
  }
  return { card, bytes, signature: Uint8Array.from(signature), certificate: ownedCopy(certificate) };
}

/** Returns a card with the labels and the time of joining that its member's certificate says, and no others. */
export function withClaims(content: Card, { labels, joinedAt }: Pick<Certificate, 'labels' | 'joinedAt'>): Card {
  const { labels: _labels, joinedAt: _joinedAt, ...card } = content;
  return {
    ...card,
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(joinedAt !== undefined && { joinedAt }),
  };
}

function assertSize(bytes: Uint8Array): void {
  if (bytes.byteLength > limits.maxCardBytes) {
    throw new SkeinError('frame-too-large', `a card of ${bytes.byteLength} bytes is over ${limits.maxCardBytes}`);
  }
}
