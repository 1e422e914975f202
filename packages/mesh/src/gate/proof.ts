import { timingSafeEqual } from 'node:crypto';

import type { MeshSecret } from '../identity/mesh-secret.ts';

/** The two ends of a connection, as Noise proved them, and the nonce each has drawn for this gate. */
export interface GateTranscript {
  readonly initiator: string;
  readonly responder: string;
  readonly initiatorNonce: Uint8Array;
  readonly responderNonce: Uint8Array;
}

export type GateDirection = 'initiator' | 'responder';

/**
 * Shows that its maker knows the secret, on this connection and in this direction only: a proof can't be reflected to
 * its maker, replayed later or passed on to a third member.
 */
export function gateProof(secret: MeshSecret, direction: GateDirection, transcript: GateTranscript): Uint8Array {
  // Peer ids hold no line breaks and nonces have a fixed length, so no two transcripts give the same bytes.
  const text = `skein-gate-1\n${direction}\n${transcript.initiator}\n${transcript.responder}\n`;
  return secret.authenticate(text, transcript.initiatorNonce, transcript.responderNonce);
}

/** Compares in constant time. */
export function isSameProof(expected: Uint8Array, given: Uint8Array): boolean {
  return expected.byteLength === given.byteLength && timingSafeEqual(expected, given);
}
