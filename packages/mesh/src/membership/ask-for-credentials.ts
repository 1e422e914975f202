import { credentialsSchema, methods, parseHeader, SkeinError, type Card, type Method } from '@skein/protocol';

import type { FrameStream } from '../streams/frame-stream.ts';
import type { Credentials } from './membership.ts';

export type OpenStream = (peerId: string, method: Method) => Promise<FrameStream>;

/**
 * Returns the peer id of the member that holds the authority, as the authority itself has announced it; undefined when
 * it is not there. Before such an announcement, that of a member that claims it and may coordinate.
 */
export function authorityAmong(cards: readonly Card[], holder: string | undefined): string | undefined {
  if (holder !== undefined) return cards.find(({ peer }) => peer === holder)?.peer;
  return cards.find(({ authority, roles }) => authority === true && roles.includes('coordinator'))?.peer;
}

/**
 * Asks the authority for credentials: new ones for this member, or some for a client beside it. They are not checked
 * yet.
 *
 * @throws SkeinError the authority's refusal, `peer-lost`, `deadline-exceeded`
 */
export async function askForCredentials(
  open: OpenStream,
  authority: string,
  request: { readonly type: 'renew-request' } | { readonly type: 'client-request'; readonly peer: string },
): Promise<Credentials> {
  const method = request.type === 'renew-request' ? methods.renew : methods.admitClient;
  await using stream = await open(authority, method);
  await stream.write(request);
  const frame = await stream.read({ timeoutMs: method.openTimeoutMs });
  if (frame === undefined) throw new SkeinError('peer-lost', 'the authority left without an answer');
  const { certificate, revocations } = parseHeader(credentialsSchema, frame.header);
  return { certificate, revocations };
}
