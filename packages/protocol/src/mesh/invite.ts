import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';

import { SkeinError } from '../errors/skein-error.ts';
import { bytesSchema } from '../codec/bytes-schema.ts';
import { decodeValue, encodeValue } from '../codec/frame.ts';
import { parseHeader } from '../codec/parse-header.ts';
import { peerIdSchema } from '../ids.ts';
import { limits } from '../limits.ts';
import { meshIdSchema } from './certificate.ts';
import { inviteSecretBytes } from './join.ts';

const prefix = 'skein1-';
const maxInviteLength = 4096;

/**
 * The contents of an invite: a secret that the authority exchanges for a certificate, and the addresses at which to
 * find the authority.
 */
export const inviteSchema = z.object({
  mesh: meshIdSchema,
  secret: bytesSchema({ exactly: inviteSecretBytes }),
  /** Peer id of the machine that holds the authority. */
  peer: peerIdSchema,
  addresses: arraySchema(z.string().max(256), { least: 1, most: limits.maxAddresses }),
});
export type Invite = z.infer<typeof inviteSchema>;

/** Encodes an invite as text. The first machine to use it can join: treat it as a password. */
export function encodeInvite(invite: Invite): string {
  return prefix + toBase64Url(encodeValue(compact(invite)));
}

/**
 * Decodes an invite from its text form.
 *
 * @throws SkeinError `invalid-request` when the text is no invite or a damaged one
 */
export function decodeInvite(text: string): Invite {
  const trimmed = text.trim();
  if (!trimmed.startsWith(prefix) || trimmed.length > maxInviteLength) {
    throw new SkeinError(
      'invalid-request',
      `not an invite: it starts with ${prefix}; copy the whole line that \`skein invite\` printed`,
    );
  }
  try {
    return parseHeader(inviteSchema, expanded(decodeValue(fromBase64Url(trimmed.slice(prefix.length)))));
  } catch (error) {
    throw new SkeinError('invalid-request', 'the invite is damaged; copy the whole line that `skein invite` printed', {
      cause: error,
    });
  }
}

/**
 * Packs an invite into a list rather than a map, and drops the repeated parts of its addresses: people copy invites by
 * hand now and then.
 */
function compact({ mesh, secret, peer, addresses }: Invite): unknown[] {
  return [mesh, secret, peer, addresses.map((address) => address.replace(`/p2p/${peer}`, ''))];
}

function expanded(value: unknown): unknown {
  const [mesh, secret, peer, addresses] = Array.isArray(value) ? (value as unknown[]) : [];
  return { mesh, secret, peer, addresses };
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
