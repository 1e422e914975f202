import type { ByteStream } from './byte-stream.ts';
import type { PrivateKey } from './keys.ts';

export interface TransportOptions {
  /** Proves who we are to the other end of each connection. */
  readonly privateKey: PrivateKey;
  /** Multiaddrs to listen on, with a TCP port; 0 stands for any free one. Empty for who only dials. */
  readonly listen: readonly string[];
}

export interface DialOptions {
  /** Ends the dial; its reason is thrown. Dials end after five seconds without one. */
  readonly signal?: AbortSignal | undefined;
  /** Makes a connection beside the one that there may be. Default false: that one is returned. */
  readonly force?: boolean | undefined;
}

/** The other end of a connection, as it is known before it has shown a certificate. */
export interface RemoteEnd {
  readonly peerId: string;
  /** Host name or IP address. */
  readonly host: string | undefined;
}

/** Takes a stream that a remote has opened. Must not throw. */
export type StreamAcceptor = (stream: ByteStream, connection: Connection) => void;

/**
 * One end of the network under a mesh: connections to other ends, encrypted, whose peer ids are proven. All that a mesh asks
 * of libp2p; `compliance.test.ts` says what each implementation has to do. Observers must not throw.
 */
export interface Transport {
  readonly peerId: string;
  /** Listens and lets connections in. @throws whatever the system says when an address can't be listened on */
  start(): Promise<void>;
  /** Closes all connections, and listens no more. Their streams may end cleanly: abort connections first to avoid that. */
  stop(): Promise<void>;
  /** Multiaddrs that are listened on, with our peer id. Empty until started. */
  addresses(): readonly string[];
  /** Tells of each change of {@link addresses}. */
  onAddresses(observer: () => void): void;
  /** Tells of each new connection, dialled by either side, before any of its streams. */
  onConnection(observer: (connection: Connection) => void): void;
  /** Tells of each connection that was cut off because its other end sent too much before it was admitted. */
  onFlood(observer: (remote: RemoteEnd) => void): void;
  /** Connections that are open: all, or those to one remote. */
  connections(peerId?: string): readonly Connection[];
  /**
   * Connects to whoever answers at the first of these multiaddrs that works. One that ends in `/p2p/<peer id>` connects to
   * that peer or to nobody.
   *
   * @throws SkeinError `peer-lost`, caused by what the implementation says, when none works; `deadline-exceeded`, `aborted`
   *   or the signal's own error
   */
  dial(addresses: readonly string[], options?: DialOptions): Promise<Connection>;
  /**
   * Accepts streams of a protocol. `maxInboundStreams` of it may be open on one connection; those beyond are reset, and so
   * are streams of protocols that nobody accepts.
   */
  accept(protocol: string, options: { readonly maxInboundStreams: number }, acceptor: StreamAcceptor): Promise<void>;
  /** Bytes that came from a remote, on all its connections. Only grows while there is one; 0 where there is none. */
  receivedBytes(peerId: string): number;
  /** Lifts the bound on what a remote may send, until its last connection is closed. */
  admit(peerId: string): void;
}

/** An encrypted connection. The same object each time, so that it can be a key. */
export interface Connection {
  /** Proven by the handshake. */
  readonly remotePeerId: string;
  /** Host name or IP address of the other end. */
  readonly remoteHost: string | undefined;
  /** Multiaddr of the other end. */
  readonly remoteAddress: string;
  /** `outbound` for one that we dialled. */
  readonly direction: 'inbound' | 'outbound';
  readonly isOpen: boolean;
  /** Resolves when it is over, whoever ended it. */
  readonly closed: Promise<void>;
  /** Protocols of its open streams, of both sides; one for each stream. */
  protocols(): readonly string[];
  /**
   * Opens a stream. One that the other end does not accept fails here, or at the first read.
   *
   * @throws SkeinError `peer-lost`, caused by what the implementation says; `deadline-exceeded`, `aborted` or the signal's
   *   own error
   */
  openStream(protocol: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<ByteStream>;
  /** Drops it at once, at both ends. What waits on its streams fails with `peer-lost`, here caused by `error`. */
  abort(error: Error): void;
}
