import { hostOf, isWildcard } from '../transport/addresses.ts';
import { chooseInterfaces, type NetworkInterfaces } from './interfaces.ts';

/** Tells whether a multiaddr names a TCP port of an IP address, so that dialling it asks nobody else. */
export function isIpAddress(address: string): boolean {
  return /^\/ip[46]\/[0-9a-f.:]+\/tcp\/\d+(\/p2p\/\w+)?$/.test(address);
}

/** Word among the addresses to announce: those that the member's interfaces have, as they change. */
export const ownAddresses = 'own';

/** Tells whether others can be told to dial a multiaddr: it names a port of one IP address, which asks no name server. */
export function isAnnounceable(address: string): boolean {
  const host = hostOf(address);
  return host !== undefined && isIpAddress(address) && !isWildcard(host) && !/\/tcp\/0+(\/|$)/.test(address);
}

/** Adds a peer id to a multiaddr that has none: no other peer can answer then. */
export function withPeerId(address: string, peerId: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`;
}

/** Tells whether a host name or address, as in a URL or a multiaddr, can only mean this machine. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Tells whether all listen addresses are loopback ones, so that nobody off this machine can connect. */
export function isLoopbackOnly(listen: readonly string[]): boolean {
  return listen.every((address) => isLoopbackHost(hostOf(address) ?? ''));
}

/**
 * Returns the addresses of a host to be dialled at. An address that was asked for by name stays; a wildcard becomes the
 * addresses that the chosen interfaces have now.
 *
 * @param bound the multiaddrs that are listened on, wildcards among them
 * @param options.only names of the interfaces to use. Default: the physical ones
 */
export function reachableAddresses(
  bound: readonly string[],
  { interfaces, only }: { readonly interfaces: NetworkInterfaces; readonly only?: readonly string[] | undefined },
): string[] {
  const hosts = chooseInterfaces(interfaces, { only }).flatMap(({ addresses }) => addresses);
  const addresses = bound.flatMap((address) => {
    const host = hostOf(address);
    if (host === undefined) return [];
    if (!isWildcard(host)) return [address];
    const isIpv6 = host === '::';
    return hosts
      .filter((candidate) => candidate.includes(':') === isIpv6)
      .map((candidate) => address.replace(`/${host}/`, `/${candidate}/`));
  });
  return [...new Set(addresses)];
}
