interface Remote {
  bytes: number;
  connections: number;
  isAdmitted: boolean;
}

/** Counts what arrives on one connection. */
export interface ReceivedBytesCounter {
  /** Adds bytes. Returns false once the remote has sent more than it may before it is admitted: cut it off. */
  add(bytes: number): boolean;
  /** Says that the connection is over. */
  end(): void;
}

/**
 * What a remote that dialled may send before it has passed the handshake: handshakes, a certificate of less than a kilobyte, an
 * invite. A dozen bytes open a stream, which costs kilobytes, so this bounds memory as well.
 */
const maxStrangerBytes = 16 * 1024;
/** What one that was dialled may send until its welcome has been looked at. It may take us for admitted by then. */
const maxUnseenBytes = 2 * 1024 * 1024;

/**
 * Counts what arrives from each remote whose peer id is proven, on all its connections together, as it comes off the
 * network. Streams see less of it: a Yamux frame of 256 KiB shows there only when it is complete, which takes seconds where
 * many share a slow link.
 */
export class ReceivedBytes {
  readonly #remotes = new Map<string, Remote>();

  /** Only grows for as long as there is a connection; 0 where there is none. */
  bytesFrom(peerId: string): number {
    return this.#remotes.get(peerId)?.bytes ?? 0;
  }

  /** Says that a remote has passed the handshake. Holds until its last connection is closed. */
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
