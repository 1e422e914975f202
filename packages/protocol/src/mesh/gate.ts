import { z } from 'zod';

const bytes32 = z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 32, { message: 'must be 32 bytes' });

/**
 * Proof that both ends of a connection know the mesh secret, in three frames. `proof` is HMAC-SHA-256 keyed with the
 * secret over the direction, both peer ids (as Noise proved them) and both nonces, so it is of no use on any other
 * connection.
 */
export const gateHelloSchema = z.object({ type: z.literal('gate-hello'), nonce: bytes32 });
export const gateChallengeSchema = z.object({ type: z.literal('gate-challenge'), nonce: bytes32, proof: bytes32 });
export const gateProofSchema = z.object({ type: z.literal('gate-proof'), proof: bytes32 });
export const gateAnswerSchema = z.object({ type: z.literal('gate-open') });
