import type { Connection as HostConnection } from '@libp2p/interface';
import { SkeinError } from '@skein/protocol';

import { throwIfAborted } from '../../streams/wait.ts';
import type { ByteStream } from '../byte-stream.ts';
import type { Connection } from '../transport.ts';
import { hostOf } from './host-of.ts';
import { Libp2pStream } from './libp2p-stream.ts';

/** A connection of a libp2p node. */
export class Libp2pConnection implements Connection {
  readonly remotePeerId: string;
  readonly closed: Promise<void>;
  readonly #connection: HostConnection;

  constructor(connection: HostConnection) {
    this.#connection = connection;
    this.remotePeerId = connection.remotePeer.toString();
    const over = Promise.withResolvers<void>();
    connection.addEventListener('close', () => over.resolve());
    if (connection.status === 'closed' || connection.status === 'aborted' || connection.status === 'reset') {
      over.resolve();
    }
    this.closed = over.promise;
  }

  get remoteHost(): string | undefined {
    return hostOf(this.#connection);
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddr.toString();
  }

  get direction(): 'inbound' | 'outbound' {
    return this.#connection.direction;
  }

  get isOpen(): boolean {
    return this.#connection.status === 'open';
  }

  protocols(): readonly string[] {
    return this.#connection.streams.map(({ protocol }) => protocol);
  }

  async openStream(
    protocol: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ByteStream> {
    throwIfAborted(signal);
    try {
      const options = { maxOutboundStreams: Number.MAX_SAFE_INTEGER, ...(signal !== undefined && { signal }) };
      return new Libp2pStream(await this.#connection.newStream(protocol, options));
    } catch (error) {
      throwIfAborted(signal);
      throw new SkeinError('peer-lost', `can't open a stream of ${protocol}`, { cause: error });
    }
  }

  abort(error: Error): void {
    this.#connection.abort(error);
  }
}
