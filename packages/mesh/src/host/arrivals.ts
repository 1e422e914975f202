import type { MultiaddrConnection, PeerId } from '@libp2p/interface';

interface Remote {
  bytes: number;
  connections: number;
}

/**
 * Counts what arrives from each remote that Noise has proved, on all its connections together, as it comes off the network.
 * Streams see less of it: a Yamux frame of 256 KiB shows there only when it is complete, which takes seconds where many
 * share a slow link.
 */
export class Arrivals {
  readonly #remotes = new Map<string, Remote>();

  /** Only grows for as long as there is a connection; 0 where there is none. */
  bytesFrom(peerId: string): number {
    return this.#remotes.get(peerId)?.bytes ?? 0;
  }

  /** Counts what arrives on a connection from now on. Noise reads it already, so nothing is taken away from that. */
  count(peerId: PeerId, connection: MultiaddrConnection): void {
    const key = peerId.toString();
    const remote = this.#remotes.get(key) ?? { bytes: 0, connections: 0 };
    this.#remotes.set(key, remote);
    remote.connections += 1;
    connection.addEventListener('message', ({ data }) => {
      remote.bytes += data.byteLength;
    });
    connection.addEventListener('close', () => {
      remote.connections -= 1;
      if (remote.connections === 0) this.#remotes.delete(key);
    });
  }
}
