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

/** What a machine needs to join: a secret that the authority exchanges for a certificate, and where to find it. */
export const inviteSchema = z.object({
  mesh: meshIdSchema,
  secret: bytesSchema({ exactly: inviteSecretBytes }),
  /** Who holds the authority. */
  peer: peerIdSchema,
  addresses: arraySchema(z.string().max(256), { least: 1, most: limits.maxAddresses }),
});
export type Invite = z.infer<typeof inviteSchema>;

/** Text form of an invite. Whoever uses it first can join: treat it as a password. */
export function encodeInvite(invite: Invite): string {
  return prefix + toBase64Url(encodeValue(compact(invite)));
}

/** Throws `invalid-request` for text that is not an invite. */
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

/** A list rather than a map, and addresses without what each of them repeats: an invite is copied by hand now and then. */
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
