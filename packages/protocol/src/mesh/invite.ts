import { z } from 'zod';

import { SkeinError } from '../errors/skein-error.ts';
import { decodeValue, encodeValue } from '../codec/frame.ts';
import { peerIdSchema } from '../ids.ts';
import { limits } from '../limits.ts';

const prefix = 'skein1-';
const maxInviteLength = 4096;

/** What a machine needs to join: the mesh secret, and a member to dial first. */
export const inviteSchema = z.object({
  secret: z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 32, { message: 'must be 32 bytes' }),
  peer: peerIdSchema,
  addresses: z.array(z.string().max(256)).min(1).max(limits.maxAddresses),
});
export type Invite = z.infer<typeof inviteSchema>;

/** Text form of an invite. Whoever has it can join: treat it as a password. */
export function encodeInvite(invite: Invite): string {
  return prefix + toBase64Url(encodeValue(invite));
}

/** Throws `invalid-request` for text that is not an invite. */
export function decodeInvite(text: string): Invite {
  const trimmed = text.trim();
  if (!trimmed.startsWith(prefix) || trimmed.length > maxInviteLength) {
    throw new SkeinError(
      'invalid-request',
      `not an invite: it starts with ${prefix}; copy the whole line that \`skein up\` printed`,
    );
  }
  try {
    return inviteSchema.parse(decodeValue(fromBase64Url(trimmed.slice(prefix.length))));
  } catch (error) {
    throw new SkeinError('invalid-request', 'the invite is damaged; copy the whole line that `skein up` printed', {
      cause: error,
    });
  }
}

function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

function fromBase64Url(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
}
