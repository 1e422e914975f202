import type { ResponsePacket } from 'multicast-dns';

import { hostOf, peerIdOf } from '../transport/addresses.ts';

/** Prefix of the multiaddr in a TXT record. */
export const textPrefix = 'dnsaddr=';
const maxAddressesPerAnswer = 8;

/**
 * Reads from a packet the peer id of a member and the addresses at which it can be dialled. Returns undefined when it
 * is no answer to our question. Anyone on the LAN can answer. We dial nobody but the sender itself, so an answer can't
 * send us elsewhere.
 *
 * @param tag the name that was asked for
 * @param sender IP address that the packet came from
 */
export function readAnswer(
  packet: ResponsePacket,
  { tag, sender }: { readonly tag: string; readonly sender: string },
): { readonly peerId: string; readonly addresses: readonly string[] } | undefined {
  const answers = packet.answers ?? [];
  if (!answers.some((answer) => answer.type === 'PTR' && answer.name === tag)) return undefined;
  const texts = [...answers, ...(packet.additionals ?? [])].flatMap((record) =>
    record.type === 'TXT' && record.name.endsWith(tag) ? [String(record.data)] : [],
  );
  const addresses = texts
    .filter((text) => text.startsWith(textPrefix))
    .map((text) => text.slice(textPrefix.length))
    .filter((address) => hostOf(address) === sender)
    .slice(0, maxAddressesPerAnswer);
  const peerId = addresses[0] === undefined ? undefined : peerIdOf(addresses[0]);
  if (peerId === undefined) return undefined;
  return { peerId, addresses: addresses.filter((address) => peerIdOf(address) === peerId) };
}
