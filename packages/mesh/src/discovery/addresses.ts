import { networkInterfaces } from 'node:os';

import { hostOf } from '../transport/addresses.ts';
import { chooseInterfaces, type NetworkInterfaces } from './interfaces.ts';

const wildcards: ReadonlySet<string | undefined> = new Set(['0.0.0.0', '::']);

/** Tells whether a host that is listened on stands for all addresses of this machine. */
export function isWildcard(host: string | undefined): boolean {
  return wildcards.has(host);
}

/** Tells whether a multiaddr names a TCP port of an IP address, so that dialling it asks nobody else. */
export function isIpAddress(address: string): boolean {
  return /^\/ip[46]\/[0-9a-f.:]+\/tcp\/\d+(\/p2p\/\w+)?$/.test(address);
}

/** Adds a peer id to a multiaddr that has none: no other peer can answer then. */
export function withPeerId(address: string, peerId: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`;
}

/** Tells whether all listen addresses are loopback ones, so that nobody off this machine can connect. */
export function isLoopbackOnly(listen: readonly string[]): boolean {
  return listen.every((address) => /^(127\.|::1$|localhost$)/.test(hostOf(address) ?? ''));
}

export interface ReachableOptions {
  /** Multiaddrs that the member was told to listen on. */
  readonly listen: readonly string[];
  /** Names of the interfaces to use. Default: the physical ones. */
  readonly only?: readonly string[] | undefined;
  readonly interfaces?: NetworkInterfaces;
}

/**
 * Returns the addresses of a host to announce. An address that was asked for by name stays; of those that a wildcard
 * stands for, only those of the chosen interfaces stay.
 */
export function reachableAddresses(bound: readonly string[], options: ReachableOptions): string[] {
  const { listen, only, interfaces = networkInterfaces() } = options;
  const named = new Set(listen.map(hostOf).filter((host) => host !== undefined && !isWildcard(host)));
  const chosen = chooseInterfaces(interfaces, { only });
  const names = new Set(chosen.map(({ name }) => name));
  const usable = new Set(chosen.map(({ address }) => address));
  for (const [name, infos] of Object.entries(interfaces)) {
    if (!names.has(name)) continue;
    for (const { address, family } of infos ?? []) {
      // Link-local IPv6 means nothing without the reader's own zone.
      if (family === 'IPv6' && !address.startsWith('fe80')) usable.add(address);
    }
  }
  return bound.filter((address) => {
    const host = hostOf(address);
    return host !== undefined && (named.has(host) || usable.has(host));
  });
}
