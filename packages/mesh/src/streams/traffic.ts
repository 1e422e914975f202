/** Bytes exchanged on Skein streams: frames with their prefixes, without Noise's and Yamux's own overhead. */
export interface TrafficCount {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface Traffic {
  readonly total: TrafficCount;
  /** By peer id of the remote, since this mesh was created. */
  readonly peers: ReadonlyMap<string, TrafficCount>;
}

/** What a stream reports its bytes to. */
export interface TrafficMeter {
  sent(bytes: number): void;
  received(bytes: number): void;
}

/** Adds up bytes by remote. One per mesh. */
export class TrafficCounter {
  readonly #peers = new Map<string, { sentBytes: number; receivedBytes: number }>();

  /** The meter for streams with one remote. */
  meter(peerId: string): TrafficMeter {
    let count = this.#peers.get(peerId);
    if (count === undefined) this.#peers.set(peerId, (count = { sentBytes: 0, receivedBytes: 0 }));
    const counted = count;
    return {
      sent: (bytes) => void (counted.sentBytes += bytes),
      received: (bytes) => void (counted.receivedBytes += bytes),
    };
  }

  snapshot(): Traffic {
    const peers = new Map([...this.#peers].map(([peerId, count]) => [peerId, { ...count }]));
    const total = { sentBytes: 0, receivedBytes: 0 };
    for (const count of peers.values()) {
      total.sentBytes += count.sentBytes;
      total.receivedBytes += count.receivedBytes;
    }
    return { total, peers };
  }
}
