/** Bytes exchanged on Skein streams: frames with their prefixes, without Noise's and Yamux's own overhead. */
export interface TrafficCount {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface Traffic {
  readonly total: TrafficCount;
  /**
   * Counts by peer id of the remote, since this mesh was created; of the 1,024 remotes with which streams were opened
   * last.
   */
  readonly peers: ReadonlyMap<string, TrafficCount>;
}

/** A meter of a stream's bytes. */
export interface TrafficMeter {
  sent(bytes: number): void;
  received(bytes: number): void;
}

/** Most remotes that are told apart. Each short-lived program is one, so there is no end of them. */
const maxPeers = 1024;

interface Count {
  sentBytes: number;
  receivedBytes: number;
}

/** The sum of bytes by remote, for those seen last. One per mesh. */
export class TrafficCounter {
  readonly #total: Count = { sentBytes: 0, receivedBytes: 0 };
  /** Counts by peer id, those seen last at the end. */
  readonly #peers = new Map<string, Count>();

  /** Returns the meter for streams with one remote. */
  meter(peerId: string): TrafficMeter {
    const count = this.#peers.get(peerId) ?? { sentBytes: 0, receivedBytes: 0 };
    this.#peers.delete(peerId);
    this.#peers.set(peerId, count);
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > maxPeers && oldest !== undefined) this.#peers.delete(oldest);
    const counts = [this.#total, count];
    return {
      sent: (bytes) => {
        for (const one of counts) one.sentBytes += bytes;
      },
      received: (bytes) => {
        for (const one of counts) one.receivedBytes += bytes;
      },
    };
  }

  snapshot(): Traffic {
    return {
      total: { ...this.#total },
      peers: new Map([...this.#peers].map(([peerId, count]) => [peerId, { ...count }])),
    };
  }
}
