import type { ByteStream } from './byte-stream.ts';
import type { PrivateKey } from './keys.ts';

export interface TransportOptions {
  /** Key that proves our peer id to the other end of each connection. */
  readonly privateKey: PrivateKey;
  /** Multiaddrs to listen on, with a TCP port; 0 stands for any free one. Empty for an end that only dials. */
  readonly listen: readonly string[];
}

export interface DialOptions {
  /** Ends the dial; its reason is thrown. Dials end after five seconds without one. */
  readonly signal?: AbortSignal | undefined;
  /** Whether to make a connection beside an existing one. Default false: the existing one is returned. */
  readonly force?: boolean | undefined;
}

/** The other end of a connection, as far as it is known before it has shown a certificate. */
export interface RemoteEnd {
  readonly peerId: string;
  /** Host name or IP address. */
  readonly host: string | undefined;
}

/** A function that takes a stream that a remote has opened. It must not throw. */
export type StreamAcceptor = (stream: ByteStream, connection: Connection) => void;

/**
 * One end of the network under a mesh: connections to other ends, encrypted, whose peer ids are proven. A mesh asks
 * nothing else of libp2p; `compliance.test.ts` has the duties of each implementation. Observers must not throw.
 */
export interface Transport {
  readonly peerId: string;
  /**
   * Listens and lets connections in.
   *
   * @throws the system's error when an address can't be listened on
   */
  start(): Promise<void>;
  /** Closes all connections, and listens no more. Their streams may end cleanly: abort connections first to avoid that. */
  stop(): Promise<void>;
  /**
   * Returns the multiaddrs that are listened on, with the port that stands for 0 and our peer id. A wildcard stays one:
   * what it means changes with the networks of the machine. Empty until started.
   */
  addresses(): readonly string[];
  /** Calls back with each new connection, dialled by either side, before any of its streams. */
  onConnection(observer: (connection: Connection) => void): void;
  /** Calls back with each connection that was cut off because its other end sent too much before it was admitted. */
  onFlood(observer: (remote: RemoteEnd) => void): void;
  /** Returns the open connections: all, or those to one remote. */
  connections(peerId?: string): readonly Connection[];
  /**
   * Connects to the end that answers at the first of these multiaddrs that works. One that ends in `/p2p/<peer id>`
   * connects to that peer or to nobody.
   *
   * @throws SkeinError `peer-lost`, caused by the implementation's error, when none works; `deadline-exceeded`,
   * `aborted` or the signal's own error
   */
  dial(addresses: readonly string[], options?: DialOptions): Promise<Connection>;
  /**
   * Accepts streams of a protocol. `maxInboundStreams` of it may be open on one connection; those beyond are reset, and so
   * are streams of protocols that nobody accepts.
   */
  accept(protocol: string, options: { readonly maxInboundStreams: number }, acceptor: StreamAcceptor): Promise<void>;
  /**
   * Returns the bytes that came from a remote, on all its connections. The number only grows while there is one; 0
   * where there is none.
   */
  receivedBytes(peerId: string): number;
  /** Lifts the bound on the bytes of a remote, until its last connection is closed. */
  admit(peerId: string): void;
}

/** An encrypted connection. The same object each time, so that it can be a key. */
export interface Connection {
  /** Peer id of the other end, proven by the handshake. */
  readonly remotePeerId: string;
  /** Host name or IP address of the other end. */
  readonly remoteHost: string | undefined;
  /** Multiaddr of the other end. */
  readonly remoteAddress: string;
  /** `outbound` for a connection that we dialled. */
  readonly direction: 'inbound' | 'outbound';
  readonly isOpen: boolean;
  /** Resolves when it is over, whoever ended it. */
  readonly closed: Promise<void>;
  /** Returns the protocols of its open streams, of both sides; one for each stream. */
  protocols(): readonly string[];
  /**
   * Opens a stream. One that the other end does not accept fails here, or at the first read.
   *
   * @throws SkeinError `peer-lost`, caused by the implementation's error; `deadline-exceeded`, `aborted` or the
   * signal's own error
   */
  openStream(protocol: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<ByteStream>;
  /** Drops it at once, at both ends. Waits on its streams fail with `peer-lost`, here caused by `error`. */
  abort(error: Error): void;
}
