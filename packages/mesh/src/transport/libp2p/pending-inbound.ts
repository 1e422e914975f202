import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface';

import { hostOf } from './host-of.ts';

/**
 * A bound on the connections of each remote host that have not been through Noise yet. libp2p counts them for all hosts
 * together, so a stranger that connects and stays silent would use up everyone's places.
 */
export class PendingInbound implements ConnectionGater {
  readonly #maxPerHost: number;
  readonly #pending = new Map<string, Set<MultiaddrConnection>>();

  constructor(options: { readonly maxPerHost: number }) {
    this.#maxPerHost = options.maxPerHost;
  }

  // Arrow functions: libp2p asks for the methods one by one.
  readonly denyInboundConnection = (connection: MultiaddrConnection): boolean => {
    const host = hostOf(connection) ?? '';
    const pending = this.#pending.get(host) ?? new Set();
    if (pending.size >= this.#maxPerHost) return true;
    this.#pending.set(host, pending.add(connection));
    connection.addEventListener('close', () => this.#settle(connection));
    return false;
  };

  readonly denyInboundUpgradedConnection = (_peerId: unknown, connection: MultiaddrConnection): boolean => {
    this.#settle(connection);
    return false;
  };

  #settle(connection: MultiaddrConnection): void {
    const host = hostOf(connection) ?? '';
    const pending = this.#pending.get(host);
    if (pending?.delete(connection) === true && pending.size === 0) this.#pending.delete(host);
  }
}
