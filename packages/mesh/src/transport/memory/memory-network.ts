import { setImmediate as nextTurn } from 'node:timers/promises';

import { SkeinError } from '@skein/protocol';

import { throwIfAborted, untilAborted, waitSignal } from '../../streams/wait.ts';
import { peerIdOf } from '../addresses.ts';
import { ReceivedBytes } from '../received-bytes.ts';
import { peerIdOfPrivateKey } from '../keys.ts';
import type { Connection, DialOptions, RemoteEnd, StreamAcceptor, Transport, TransportOptions } from '../transport.ts';
import { joinConnections, MemoryConnection, type Acceptance } from './memory-connection.ts';

const dialTimeoutMs = 5000;
const firstPort = 49_152;

/** A network inside one process, for tests: its transports reach each other by addresses that stand for no machine. */
export class MemoryNetwork {
  /** Listeners by address, without a peer id; undefined for one where nobody answers, and nobody refuses either. */
  readonly #listeners = new Map<string, MemoryTransport | undefined>();
  #nextPort = firstPort;

  createTransport(options: TransportOptions): Transport {
    return new MemoryTransport(this, options);
  }

  /** Returns an address at which dials wait until they are given up. */
  listenSilently(): string {
    return this.listen('/ip4/127.0.0.1/tcp/0', undefined);
  }

  /**
   * Binds an address and returns it, with a port in place of 0.
   *
   * @throws Error when it is in use
   */
  listen(address: string, listener: MemoryTransport | undefined): string {
    const bound = address.replace(/\/tcp\/0$/, () => `/tcp/${this.#nextPort++}`);
    if (this.#listeners.has(bound)) throw new Error(`${bound} is in use`);
    this.#listeners.set(bound, listener);
    return bound;
  }

  release(address: string): void {
    this.#listeners.delete(address);
  }

  /** Finds the listener at the first of these addresses that has one, which is the peer that the address names, if any. */
  find(addresses: readonly string[]): { readonly address: string; readonly listener: MemoryTransport | undefined } {
    for (const address of addresses) {
      const bare = address.replace(/\/p2p\/.*$/, '');
      const named = peerIdOf(address);
      if (!this.#listeners.has(bare)) continue;
      const listener = this.#listeners.get(bare);
      if (named === undefined || listener === undefined || listener.peerId === named)
        return { address: bare, listener };
    }
    throw new Error('connection refused');
  }
}

class MemoryTransport implements Transport {
  readonly peerId: string;
  readonly #network: MemoryNetwork;
  readonly #listen: readonly string[];
  readonly #receivedBytes = new ReceivedBytes();
  readonly #acceptances = new Map<string, Acceptance>();
  readonly #connections = new Set<MemoryConnection>();
  readonly #connectionObservers = new Set<(connection: Connection) => void>();
  readonly #floodObservers = new Set<(remote: RemoteEnd) => void>();
  #bound: readonly string[] = [];

  constructor(network: MemoryNetwork, { privateKey, listen }: TransportOptions) {
    this.peerId = peerIdOfPrivateKey(privateKey);
    this.#network = network;
    this.#listen = listen;
  }

  async start(): Promise<void> {
    this.#bound = this.#listen.map((address) => this.#network.listen(address, this));
  }

  async stop(): Promise<void> {
    for (const address of this.#bound) this.#network.release(address);
    this.#bound = [];
    const stopping = new SkeinError('peer-lost', 'the transport is stopping');
    for (const connection of this.#connections) connection.abort(stopping);
  }

  addresses(): readonly string[] {
    return this.#bound.map((address) => `${address}/p2p/${this.peerId}`);
  }

  onConnection(observer: (connection: Connection) => void): void {
    this.#connectionObservers.add(observer);
  }

  onFlood(observer: (remote: RemoteEnd) => void): void {
    this.#floodObservers.add(observer);
  }

  connections(peerId?: string): readonly Connection[] {
    const all = [...this.#connections];
    return peerId === undefined ? all : all.filter(({ remotePeerId }) => remotePeerId === peerId);
  }

  async dial(addresses: readonly string[], { signal, force = false }: DialOptions = {}): Promise<Connection> {
    throwIfAborted(signal);
    try {
      const found = this.#network.find(addresses);
      if (found.listener === this) throw new Error('a transport can not dial itself');
      const peerId = found.listener?.peerId;
      const existing = peerId === undefined ? undefined : this.connections(peerId).find(({ isOpen }) => isOpen);
      if (existing !== undefined && !force) return existing;
      // Others may dial us meanwhile, or go away.
      await nextTurn();
      const { address, listener } = this.#network.find(addresses);
      if (listener !== undefined) return this.#connect(listener, address);
    } catch (error) {
      throw nobodyAnswers(addresses, error);
    }
    const deadline = waitSignal({ signal, timeoutMs: dialTimeoutMs });
    return await untilAborted(new Promise<never>(() => undefined), deadline).catch((error: unknown) => {
      throwIfAborted(signal);
      throw nobodyAnswers(addresses, error);
    });
  }

  async accept(
    protocol: string,
    { maxInboundStreams }: { readonly maxInboundStreams: number },
    acceptor: StreamAcceptor,
  ): Promise<void> {
    this.#acceptances.set(protocol, { maxInboundStreams, acceptor });
  }

  receivedBytes(peerId: string): number {
    return this.#receivedBytes.bytesFrom(peerId);
  }

  admit(peerId: string): void {
    this.#receivedBytes.admit(peerId);
  }

  #connect(listener: MemoryTransport, address: string): Connection {
    const near = this.#end({ remotePeerId: listener.peerId, remoteAddress: address, direction: 'outbound' });
    // As with TCP, whoever dials does so from a port of no meaning.
    const far = listener.#end({
      remotePeerId: this.peerId,
      remoteAddress: '/ip4/127.0.0.1/tcp/1',
      direction: 'inbound',
    });
    joinConnections(near, far);
    listener.#opened(far);
    this.#opened(near);
    return near;
  }

  #end(given: {
    readonly remotePeerId: string;
    readonly remoteAddress: string;
    readonly direction: 'inbound' | 'outbound';
  }): MemoryConnection {
    return new MemoryConnection({
      ...given,
      receivedBytes: this.#receivedBytes.begin(given.remotePeerId, given.direction),
      onFlood: (remote) => {
        for (const observer of this.#floodObservers) observer(remote);
      },
      find: (protocol) => this.#acceptances.get(protocol),
    });
  }

  #opened(connection: MemoryConnection): void {
    for (const observer of this.#connectionObservers) observer(connection);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }
}

function nobodyAnswers(addresses: readonly string[], cause: unknown): SkeinError {
  return new SkeinError('peer-lost', `nobody answers at ${addresses.join(' or ')}`, { cause });
}
