import { invariant, SkeinError } from '@skein/protocol';

import { throwIfAborted } from '../../streams/wait.ts';
import type { ReceivedBytesCounter } from '../received-bytes.ts';
import type { ByteStream } from '../byte-stream.ts';
import type { Connection, RemoteEnd, StreamAcceptor } from '../transport.ts';
import { lossCausedBy, memoryStreamPair, type MemoryStream } from './memory-stream.ts';

/** The way in which one end accepts streams of a protocol. */
export interface Acceptance {
  readonly maxInboundStreams: number;
  readonly acceptor: StreamAcceptor;
}

/** The parts that one end of a connection is made of. */
export interface MemoryConnectionComponents {
  readonly remotePeerId: string;
  readonly remoteAddress: string;
  readonly direction: 'inbound' | 'outbound';
  readonly receivedBytes: ReceivedBytesCounter;
  /** Called when the other end was cut off for sending too much. */
  readonly onFlood: (remote: RemoteEnd) => void;
  /** Returns the way in which this end accepts streams; undefined for a protocol that it doesn't know. */
  readonly find: (protocol: string) => Acceptance | undefined;
}

interface OpenStream {
  readonly stream: MemoryStream;
  readonly protocol: string;
  readonly isInbound: boolean;
}

/** Joins two ends of a connection inside one process. */
export function joinConnections(near: MemoryConnection, far: MemoryConnection): void {
  near.join(far);
  far.join(near);
}

/** One end of a connection inside one process. */
export class MemoryConnection implements Connection {
  readonly remotePeerId: string;
  readonly remoteHost: string | undefined;
  readonly remoteAddress: string;
  readonly direction: 'inbound' | 'outbound';
  readonly #components: MemoryConnectionComponents;
  readonly #streams = new Set<OpenStream>();
  readonly #over = Promise.withResolvers<void>();
  #isOpen = true;
  #remote: MemoryConnection | undefined;

  constructor(components: MemoryConnectionComponents) {
    this.#components = components;
    this.remotePeerId = components.remotePeerId;
    this.remoteAddress = components.remoteAddress;
    this.remoteHost = components.remoteAddress.split('/')[2];
    this.direction = components.direction;
  }

  join(remote: MemoryConnection): void {
    this.#remote = remote;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get closed(): Promise<void> {
    return this.#over.promise;
  }

  protocols(): readonly string[] {
    return this.#openStreams().map(({ protocol }) => protocol);
  }

  async openStream(
    protocol: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ByteStream> {
    throwIfAborted(signal);
    const remote = this.#otherEnd();
    const acceptance = remote.#components.find(protocol);
    if (!this.#isOpen || acceptance === undefined) {
      throw new SkeinError('peer-lost', `can't open a stream of ${protocol}`);
    }
    const [near, far] = memoryStreamPair({
      left: (bytes) => this.#receive(bytes),
      right: (bytes) => remote.#receive(bytes),
    });
    this.#keep({ stream: near, protocol, isInbound: false });
    remote.#accept({ stream: far, protocol, isInbound: true }, acceptance);
    return near;
  }

  abort(error: Error): void {
    this.#close(error);
    this.#otherEnd().#close(undefined);
  }

  #otherEnd(): MemoryConnection {
    return invariant(this.#remote, 'both ends are joined when they are made');
  }

  #accept(open: OpenStream, { maxInboundStreams, acceptor }: Acceptance): void {
    const inbound = this.#openStreams().filter(({ protocol, isInbound }) => isInbound && protocol === open.protocol);
    if (inbound.length >= maxInboundStreams) {
      open.stream.abort();
      return;
    }
    this.#keep(open);
    acceptor(open.stream, this);
  }

  /** Returns the streams that are not over at this moment: those that are leave the set a little later. */
  #openStreams(): readonly OpenStream[] {
    return [...this.#streams].filter(({ stream }) => !stream.isOver);
  }

  #keep(open: OpenStream): void {
    this.#streams.add(open);
    void open.stream.closed.then(() => this.#streams.delete(open));
  }

  #receive(bytes: number): void {
    if (this.#components.receivedBytes.add(bytes)) return;
    this.abort(new SkeinError('overloaded', 'more bytes before the handshake than passing it takes'));
    this.#components.onFlood({ peerId: this.remotePeerId, host: this.remoteHost });
  }

  #close(cause: Error | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const { stream } of this.#streams) stream.lose(lossCausedBy(cause));
    this.#components.receivedBytes.end();
    this.#over.resolve();
  }
}
