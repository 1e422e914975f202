import type { Connection as HostConnection, MultiaddrConnection, PeerId } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { SkeinError } from '@skein/protocol';
import { throwIfAborted } from '../../streams/wait.ts';
import { ReceivedBytes } from '../received-bytes.ts';
import type { Connection, DialOptions, RemoteEnd, StreamAcceptor, Transport, TransportOptions } from '../transport.ts';
import { createHost, type Host } from './create-host.ts';
import { hostOf } from './host-of.ts';
import { Libp2pConnection } from './libp2p-connection.ts';
import { boundAddress } from './bound-address.ts';
import { Libp2pStream } from './libp2p-stream.ts';

/** Opens the network over TCP, with Noise and Yamux. Nothing is listened on before it is started. */
export async function createLibp2pTransport(options: TransportOptions): Promise<Transport> {
  const receivedBytes = new ReceivedBytes();
  const floods = new Set<(remote: RemoteEnd) => void>();
  const count = (peer: PeerId, connection: MultiaddrConnection): void => {
    const peerId = peer.toString();
    const counter = receivedBytes.begin(peerId, connection.direction);
    // Noise reads them already, so nothing is taken away from it.
    connection.addEventListener('message', ({ data }) => {
      if (counter.add(data.byteLength)) return;
      connection.abort(new SkeinError('overloaded', 'more bytes before the handshake than passing it takes'));
      for (const observer of floods) observer({ peerId, host: hostOf(connection) });
    });
    connection.addEventListener('close', () => counter.end());
  };
  return new Libp2pTransport(await createHost(options, count), { listen: options.listen, receivedBytes, floods });
}

class Libp2pTransport implements Transport {
  readonly peerId: string;
  readonly #host: Host;
  readonly #listen: readonly string[];
  readonly #receivedBytes: ReceivedBytes;
  readonly #floods: Set<(remote: RemoteEnd) => void>;
  readonly #connections = new WeakMap<HostConnection, Connection>();

  constructor(
    host: Host,
    {
      listen,
      receivedBytes,
      floods,
    }: {
      readonly listen: readonly string[];
      readonly receivedBytes: ReceivedBytes;
      readonly floods: Set<(remote: RemoteEnd) => void>;
    },
  ) {
    this.peerId = host.peerId.toString();
    this.#host = host;
    this.#listen = listen;
    this.#receivedBytes = receivedBytes;
    this.#floods = floods;
  }

  async start(): Promise<void> {
    await this.#host.start();
  }

  async stop(): Promise<void> {
    await this.#host.stop();
  }

  addresses(): readonly string[] {
    const bound = this.#host.services
      .listeners()
      .map((listener, index) => boundAddress(this.#listen[index], listener.getAddrs()[0]?.toString()));
    return bound.filter((address) => address !== undefined).map((address) => `${address}/p2p/${this.peerId}`);
  }

  onConnection(observer: (connection: Connection) => void): void {
    this.#host.addEventListener('connection:open', ({ detail }) => observer(this.#wrap(detail)));
  }

  onFlood(observer: (remote: RemoteEnd) => void): void {
    this.#floods.add(observer);
  }

  connections(peerId?: string): readonly Connection[] {
    const all = this.#host.getConnections().map((connection) => this.#wrap(connection));
    return peerId === undefined ? all : all.filter(({ remotePeerId }) => remotePeerId === peerId);
  }

  async dial(addresses: readonly string[], { signal, force = false }: DialOptions = {}): Promise<Connection> {
    throwIfAborted(signal);
    try {
      const options = { force, ...(signal !== undefined && { signal }) };
      return this.#wrap(
        await this.#host.dial(
          addresses.map((address) => multiaddr(address)),
          options,
        ),
      );
    } catch (error) {
      throwIfAborted(signal);
      throw new SkeinError('peer-lost', `nobody answers at ${addresses.join(' or ')}`, { cause: error });
    }
  }

  async accept(
    protocol: string,
    { maxInboundStreams }: { readonly maxInboundStreams: number },
    acceptor: StreamAcceptor,
  ): Promise<void> {
    await this.#host.handle(
      protocol,
      (stream, connection) => acceptor(new Libp2pStream(stream), this.#wrap(connection)),
      { maxInboundStreams, maxOutboundStreams: Number.MAX_SAFE_INTEGER },
    );
  }

  receivedBytes(peerId: string): number {
    return this.#receivedBytes.bytesFrom(peerId);
  }

  admit(peerId: string): void {
    this.#receivedBytes.admit(peerId);
  }

  #wrap(connection: HostConnection): Connection {
    const known = this.#connections.get(connection);
    if (known !== undefined) return known;
    const wrapped = new Libp2pConnection(connection);
    this.#connections.set(connection, wrapped);
    return wrapped;
  }
}
