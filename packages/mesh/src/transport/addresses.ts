import { multiaddr } from '@multiformats/multiaddr';

/** Returns the host part of a multiaddr: an IP address or a DNS name. Undefined for text that is no multiaddr. */
export function hostOf(address: string): string | undefined {
  try {
    return multiaddr(address).getComponents()[0]?.value;
  } catch {
    return undefined;
  }
}

/** Returns the peer id at the end of a multiaddr, if it has one. */
export function peerIdOf(address: string): string | undefined {
  try {
    return multiaddr(address)
      .getComponents()
      .findLast((component) => component.name === 'p2p')?.value;
  } catch {
    return undefined;
  }
}

/** Tells whether a host stands for all addresses of a machine. */
export function isWildcard(host: string | undefined): boolean {
  return host === '0.0.0.0' || host === '::';
}
