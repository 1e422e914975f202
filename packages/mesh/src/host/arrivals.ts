import type { MultiaddrConnection, PeerId } from '@libp2p/interface';
import { SkeinError } from '@skein/protocol';

interface Remote {
  bytes: number;
  connections: number;
  isAdmitted: boolean;
}

/**
 * What a remote that dialled may send before it has passed the gate: handshakes, a certificate of less than a kilobyte, an
 * invite. A dozen bytes open a stream, which costs kilobytes, so this bounds memory as well.
 */
const maxStrangerBytes = 16 * 1024;
/** What one that was dialled may send until its welcome has been looked at. It may take us for admitted by then. */
const maxUnseenBytes = 2 * 1024 * 1024;

/**
 * Counts what arrives from each remote that Noise has proved, on all its connections together, as it comes off the network.
 * Streams see less of it: a Yamux frame of 256 KiB shows there only when it is complete, which takes seconds where many
 * share a slow link. A remote that has not passed the gate is cut off when it sends more than what takes.
 */
export class Arrivals {
  readonly #remotes = new Map<string, Remote>();
  readonly #onTooMany: (connection: MultiaddrConnection, peerId: string) => void;

  constructor(onTooMany: (connection: MultiaddrConnection, peerId: string) => void) {
    this.#onTooMany = onTooMany;
  }

  /** Only grows for as long as there is a connection; 0 where there is none. */
  bytesFrom(peerId: string): number {
    return this.#remotes.get(peerId)?.bytes ?? 0;
  }

  /** Says that a remote has passed the gate. Holds until its last connection is closed. */
  admit(peerId: string): void {
    const remote = this.#remotes.get(peerId);
    if (remote !== undefined) remote.isAdmitted = true;
  }

  /** Counts what arrives on a connection from now on. Noise reads it already, so nothing is taken away from that. */
  count(peerId: PeerId, connection: MultiaddrConnection): void {
    const key = peerId.toString();
    const remote = this.#remotes.get(key) ?? { bytes: 0, connections: 0, isAdmitted: false };
    this.#remotes.set(key, remote);
    remote.connections += 1;
    const mostBytes = connection.direction === 'inbound' ? maxStrangerBytes : maxUnseenBytes;
    connection.addEventListener('message', ({ data }) => {
      remote.bytes += data.byteLength;
      if (remote.isAdmitted || remote.bytes <= mostBytes) return;
      connection.abort(new SkeinError('overloaded', `more than ${mostBytes} bytes before the gate`));
      this.#onTooMany(connection, key);
    });
    connection.addEventListener('close', () => {
      remote.connections -= 1;
      if (remote.connections === 0) this.#remotes.delete(key);
    });
  }
}
