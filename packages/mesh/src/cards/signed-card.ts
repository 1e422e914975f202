import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
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
  type Frame,
} from '@skein/protocol';

/** A card together with the bytes that its member signed, as they travel. */
export interface SignedCard {
  readonly card: Card;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

const context = new TextEncoder().encode(cardSignatureContext);

/** Signs a card. Throws `frame-too-large` for one that others would refuse. */
export async function signCard(card: Card, privateKey: Ed25519PrivateKey): Promise<SignedCard> {
  const bytes = encodeValue(card);
  assertSize(bytes);
  const signature = await privateKey.sign(Buffer.concat([context, bytes]));
  return { card, bytes, signature };
}

/**
 * Checks a received card: its size, its schema, and that the member it speaks of has signed it. Throws
 * `frame-too-large` or `protocol-violation`.
 */
export async function verifyCard(frame: Frame): Promise<SignedCard> {
  const { signature } = parseHeader(signedCardSchema, frame.header);
  assertSize(frame.payload);
  // Kept for long, so not as a view of a larger received chunk.
  const bytes = Uint8Array.from(frame.payload);
  const card = parseHeader(cardSchema, decodeValue(bytes));
  if (!(await isSignedBy(card.peer, Buffer.concat([context, bytes]), signature))) {
    throw new SkeinError('protocol-violation', 'a card is not signed by the member it speaks of');
  }
  return { card, bytes, signature: Uint8Array.from(signature) };
}

async function isSignedBy(peerId: string, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    const key = peerIdFromString(peerId).publicKey;
    return key?.type === 'Ed25519' && (await key.verify(message, signature));
  } catch {
    return false;
  }
}

function assertSize(bytes: Uint8Array): void {
  if (bytes.byteLength > limits.maxCardBytes) {
    throw new SkeinError('frame-too-large', `a card of ${bytes.byteLength} bytes is over ${limits.maxCardBytes}`);
  }
}
