import { BlockList, isIP, isIPv6 } from 'node:net';

/** Addresses of this machine, its link and private networks. */
const localNetworks = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  localNetworks.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  localNetworks.addSubnet(network, prefix, 'ipv6');
}

/** Hosts of URLs that lead to this machine without anybody's help. */
const loopbackHosts: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** Tells whether the host of a URL is this machine, by one of its usual names. */
export function isLoopback(hostname: string): boolean {
  return loopbackHosts.includes(hostname.toLowerCase());
}

/**
 * Tells whether the host of a URL is this machine, or an address of a private network. Any other name counts as public:
 * only its resolver knows better.
 */
export function isLocal(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0) return /(?:^|\.)localhost\.?$/i.test(host);
  // A mapped address (::ffff:127.0.0.1) is checked as the IPv4 address that it stands for.
  return localNetworks.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}
