interface Remote {
  bytes: number;
  connections: number;
  isAdmitted: boolean;
}

/** A counter of the bytes that arrive on one connection. */
export interface ReceivedBytesCounter {
  /** Adds bytes. Returns false once the remote has sent more than it may before it is admitted: cut it off. */
  add(bytes: number): boolean;
  /** Ends the count, when the connection is over. */
  end(): void;
}

/**
 * Most bytes of a remote that dialled before it is admitted: handshakes, a certificate of less than a kilobyte, an
 * invite. A dozen bytes open a stream, which costs kilobytes, so this bounds memory as well.
 */
const maxStrangerBytes = 16 * 1024;
/** Most bytes of a remote that was dialled until its welcome has been checked. It may take us for admitted by then. */
const maxUnseenBytes = 2 * 1024 * 1024;

/**
 * The bytes that arrive from each remote whose peer id is proven, on all its connections together, counted as they come
 * off the network. Streams see fewer of them: a Yamux frame of 256 KiB shows there only when it is complete, which
 * takes seconds where many share a slow link.
 */
export class ReceivedBytes {
  readonly #remotes = new Map<string, Remote>();

  /** Returns the bytes from a remote. The number only grows while there is a connection; 0 where there is none. */
  bytesFrom(peerId: string): number {
    return this.#remotes.get(peerId)?.bytes ?? 0;
  }

  /** Notes that a remote is admitted. Holds until its last connection is closed. */
  admit(peerId: string): void {
    const remote = this.#remotes.get(peerId);
    if (remote !== undefined) remote.isAdmitted = true;
  }

  /** Begins to count for one more connection. */
  begin(peerId: string, direction: 'inbound' | 'outbound'): ReceivedBytesCounter {
    const remote = this.#remotes.get(peerId) ?? { bytes: 0, connections: 0, isAdmitted: false };
    this.#remotes.set(peerId, remote);
    remote.connections += 1;
    const mostBytes = direction === 'inbound' ? maxStrangerBytes : maxUnseenBytes;
    return {
      add: (bytes) => {
        remote.bytes += bytes;
        return remote.isAdmitted || remote.bytes <= mostBytes;
      },
      end: () => {
        remote.connections -= 1;
        if (remote.connections === 0) this.#remotes.delete(peerId);
      },
    };
  }
}
