import { methods, SkeinError } from '@skein/protocol';

import type { MemberAdmission } from '../admission/member-admission.ts';
import { throwIfAborted } from '../streams/wait.ts';
import type { Connection, Transport } from '../transport/transport.ts';

// Both ends may dial at once, bulk has its own connection, and stale ones linger for a while. More is abuse.
const maxConnectionsPerPeer = 8;
const bulkDialTimeoutMs = 4000;
/**
 * Methods whose streams are opened again by the end that opened them: a connection with nothing else on it can be
 * spared.
 */
const reopenedMethods: ReadonlySet<string> = new Set(
  [methods.handshake, methods.card, methods.alive, methods.revocations].map(({ id }) => id),
);

export interface ConnectionsComponents {
  readonly transport: Transport;
  readonly admission: MemberAdmission;
}

export interface ConnectionsEvents {
  /** Called when another connection, which has been admitted, is used for a member from now on: its first one, as a rule. */
  readonly onUse: (connection: Connection) => void;
  /** Called when the last connection to a member is gone. */
  readonly onPeerLost: (peerId: string) => void;
}

/**
 * The connections to other members: all that have been admitted, by peer id. Two members that dial each other at the
 * same moment have two; both keep the one that the lesser peer id dialled, and open later streams on that.
 */
export class Connections {
  readonly #transport: Transport;
  readonly #admission: MemberAdmission;
  readonly #events: ConnectionsEvents;
  /** Connections by peer id, in the order of {@link #compare}. */
  readonly #open = new Map<string, readonly Connection[]>();
  /** Connections that {@link dropDuplicates} saw the last time. */
  #duplicates = new WeakSet<Connection>();
  /** Connections that {@link bulk} opened; control messages stay off them. */
  readonly #bulk = new Map<string, Promise<Connection>>();

  constructor(components: ConnectionsComponents, events: ConnectionsEvents) {
    this.#transport = components.transport;
    this.#admission = components.admission;
    this.#events = events;
    this.#transport.onConnection((connection) => void this.#track(connection));
  }

  /** Peer ids of members with a connection. */
  get peerIds(): readonly string[] {
    return [...this.#open.keys()];
  }

  has(peerId: string): boolean {
    return this.#open.has(peerId);
  }

  /** Returns the connection to use for a member; undefined when there is none. */
  get(peerId: string): Connection | undefined {
    return this.#open.get(peerId)?.[0];
  }

  /**
   * Dials a member, at all its addresses, and waits for admission. Resolves with the existing connection when there is
   * one.
   *
   * @throws SkeinError `not-a-member`, `peer-lost`, `deadline-exceeded` or `aborted`
   */
  async dial(addresses: readonly string[], options: { signal: AbortSignal; force?: boolean }): Promise<Connection> {
    throwIfAborted(options.signal);
    try {
      const connection = await this.#transport.dial(addresses, options);
      await this.#admission.passed(connection);
      return connection;
    } catch (error) {
      throwIfAborted(options.signal);
      throw error;
    }
  }

  /**
   * Returns a second connection for bulk data, so that control messages don't queue behind it. All of a member's bulk
   * shares it.
   */
  async bulk(peerId: string, addresses: readonly string[]): Promise<Connection> {
    let bulk = this.#bulk.get(peerId);
    if (bulk === undefined) {
      bulk = this.#dialBulk(peerId, addresses);
      this.#bulk.set(peerId, bulk);
      const forget = (): boolean => this.#bulk.delete(peerId);
      void bulk.then(async ({ closed }) => await closed).then(forget, forget);
    }
    return await bulk;
  }

  /**
   * Closes superfluous connections: those that we dialled, beside one that is kept, once nothing runs on them that
   * would be lost. Call it every few seconds: they go the second time, when the other end has long known which to use.
   */
  dropDuplicates(): void {
    const known = this.#duplicates;
    this.#duplicates = new WeakSet();
    for (const connections of this.#open.values()) {
      const [, ...others] = connections.filter((connection) => !this.#isExtra(connection));
      for (const connection of others) {
        if (connection.direction !== 'outbound') continue;
        this.#duplicates.add(connection);
        if (!known.has(connection)) continue;
        if (connection.protocols().some((protocol) => !reopenedMethods.has(protocol))) continue;
        connection.abort(new SkeinError('aborted', 'there is another connection between the same two members'));
      }
    }
  }

  /** Drops all connections to a member at once. Waits on their streams fail with `peer-lost`, caused by `error`. */
  abort(peerId: string, error: Error): void {
    for (const connection of this.#open.get(peerId) ?? []) connection.abort(error);
  }

  async #track(connection: Connection): Promise<void> {
    const peerId = connection.remotePeerId;
    const siblings = this.#transport.connections(peerId).length;
    if (this.#transport.peerId === peerId || siblings > maxConnectionsPerPeer) {
      connection.abort(new SkeinError('overloaded', 'too many connections between the same two members'));
      return;
    }
    try {
      await this.#admission.passed(connection);
    } catch {
      return;
    }
    if (!connection.isOpen) return;
    this.#transport.admit(peerId);
    void connection.closed.then(() => this.#forget(peerId, connection));
    // Sorting is stable: of two alike, the older one counts.
    const connections = [...(this.#open.get(peerId) ?? []), connection].toSorted(this.#compare);
    this.#open.set(peerId, connections);
    if (connections[0] === connection) this.#events.onUse(connection);
  }

  /** Sorts connections: those beside others last; of the others first those that the lesser peer id has dialled. */
  readonly #compare = (one: Connection, other: Connection): number => {
    const rank = (connection: Connection): number => {
      if (this.#isExtra(connection)) return 2;
      const isOursToKeep = this.#transport.peerId < connection.remotePeerId;
      return isOursToKeep === (connection.direction === 'outbound') ? 0 : 1;
    };
    return rank(one) - rank(other);
  };

  #isExtra(connection: Connection): boolean {
    return this.#admission.remoteOf(connection)?.isExtra === true;
  }

  async #dialBulk(peerId: string, addresses: readonly string[]): Promise<Connection> {
    using _expected = this.#admission.expectExtra(peerId);
    return await this.dial(addresses, { signal: AbortSignal.timeout(bulkDialTimeoutMs), force: true });
  }

  #forget(peerId: string, connection: Connection): void {
    const connections = this.#open.get(peerId) ?? [];
    const rest = connections.filter((other) => other !== connection);
    const [next] = rest;
    if (next !== undefined) {
      this.#open.set(peerId, rest);
      if (connections[0] === connection) this.#events.onUse(next);
      return;
    }
    this.#open.delete(peerId);
    this.#events.onPeerLost(peerId);
  }
}
