import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { isSkeinError, SkeinError } from '@skein/protocol';
import type { Libp2p } from 'libp2p';

import type { Gate } from '../gate/gate.ts';
import { throwIfAborted } from '../streams/wait.ts';

// Both ends may dial at once, bulk has its own connection, and stale ones linger for a while. More is abuse.
const maxConnectionsPerPeer = 8;
const bulkDialTimeoutMs = 4000;

export interface ConnectionsEvents {
  /** A connection has passed the gate. */
  readonly onOpen: (connection: Connection) => void;
  /** The last connection to a member is gone. */
  readonly onPeerLost: (peerId: string) => void;
}

/** The connections to other members: all that have passed the gate, oldest first, by peer id. */
export class Connections {
  readonly #host: Libp2p;
  readonly #gate: Gate;
  readonly #events: ConnectionsEvents;
  readonly #open = new Map<string, Connection[]>();
  /** Opened by {@link bulk}; control messages stay off them. */
  readonly #bulk = new Map<string, Promise<Connection>>();

  constructor(components: { readonly host: Libp2p; readonly gate: Gate }, events: ConnectionsEvents) {
    this.#host = components.host;
    this.#gate = components.gate;
    this.#events = events;
    this.#host.addEventListener('connection:open', (event) => void this.#track(event.detail));
  }

  /** Members with a connection. */
  get peerIds(): readonly string[] {
    return [...this.#open.keys()];
  }

  has(peerId: string): boolean {
    return this.#open.has(peerId);
  }

  /** The connection to use for a member; undefined when there is none. */
  get(peerId: string): Connection | undefined {
    return this.#open.get(peerId)?.[0];
  }

  /**
   * Dials a member, at all its addresses, and passes the gate. Resolves with the existing connection when there is one.
   * Throws `not-a-member`, `peer-lost`, `deadline-exceeded` or `aborted`.
   */
  async dial(addresses: readonly string[], options: { signal: AbortSignal; force?: boolean }): Promise<Connection> {
    throwIfAborted(options.signal);
    try {
      const connection = await this.#host.dial(
        addresses.map((address) => multiaddr(address)),
        options,
      );
      await this.#gate.passed(connection);
      return connection;
    } catch (error) {
      throwIfAborted(options.signal);
      if (isSkeinError(error)) throw error;
      throw new SkeinError('peer-lost', `nobody answers at ${addresses.join(' or ')}`, { cause: error });
    }
  }

  /** A second connection for bulk data, so that control messages don't queue behind it. Shared by all of a member's bulk. */
  async bulk(peerId: string, addresses: readonly string[]): Promise<Connection> {
    let bulk = this.#bulk.get(peerId);
    if (bulk === undefined) {
      bulk = this.dial(addresses, { signal: AbortSignal.timeout(bulkDialTimeoutMs), force: true });
      this.#bulk.set(peerId, bulk);
      const forget = (): boolean => this.#bulk.delete(peerId);
      bulk.then((connection) => connection.addEventListener('close', forget), forget);
    }
    return await bulk;
  }

  /** Drops all connections to a member at once. What waits on their streams fails with `peer-lost`, caused by `error`. */
  abort(peerId: string, error: Error): void {
    for (const connection of this.#open.get(peerId) ?? []) connection.abort(error);
  }

  async #track(connection: Connection): Promise<void> {
    const peerId = connection.remotePeer.toString();
    const siblings = this.#host.getConnections(connection.remotePeer).length;
    if (this.#host.peerId.equals(connection.remotePeer) || siblings > maxConnectionsPerPeer) {
      connection.abort(new SkeinError('overloaded', 'too many connections between the same two members'));
      return;
    }
    try {
      await this.#gate.passed(connection);
    } catch {
      return;
    }
    if (connection.status !== 'open') return;
    this.#open.set(peerId, [...(this.#open.get(peerId) ?? []), connection]);
    connection.addEventListener('close', () => this.#forget(peerId, connection));
    this.#events.onOpen(connection);
  }

  #forget(peerId: string, connection: Connection): void {
    const rest = (this.#open.get(peerId) ?? []).filter((other) => other !== connection);
    if (rest.length > 0) {
      this.#open.set(peerId, rest);
      return;
    }
    this.#open.delete(peerId);
    this.#events.onPeerLost(peerId);
  }
}
