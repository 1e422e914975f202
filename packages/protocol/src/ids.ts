import { z } from 'zod';

/** A lower-case hexadecimal SHA-256 digest. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');

/** A libp2p peer id in its base58 or base36 text form. */
export const peerIdSchema = z
  .string()
  .min(16)
  .max(128)
  .regex(/^[A-Za-z0-9]+$/, 'must be a peer id: letters and digits');

/**
 * Id of one request, in the answer, the logs and the audit log of every machine that it reaches. It is made where the
 * request comes in; its choices and all attempts at them share it.
 */
export const requestIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be a request id: up to 64 letters, digits, dots, hyphens and underscores');

/** Id of one deployment of one model on one set of peers. The coordinator chooses it; it is unique in the mesh. */
export const deploymentIdSchema = z
  .string()
  .regex(/^[a-z0-9-]{8,64}$/, 'must be a deployment id: 8 to 64 lower-case letters, digits and hyphens');
