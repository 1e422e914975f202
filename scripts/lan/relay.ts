import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A relay's treatment of passing chunks, in each direction. */
export interface RelayConditions {
  /** Time from one end to the other, in milliseconds. */
  readonly delayMs: number;
  /** Greatest deviation of the delay, up and down, in milliseconds. The order stays. */
  readonly jitterMs: number;
  /**
   * Share of chunks, of up to 64 KiB, that lose something. TCP sends it again, so a reader sees a loss as a delay of
   * this and everything behind it by 200 ms: the shortest timeout after which Linux retransmits. It is not modelled
   * that the sender slows down after a loss.
   */
  readonly lossRate: number;
}

export interface RelayOptions extends Partial<RelayConditions> {
  /** Address to listen on. Default: all. */
  readonly host?: string | undefined;
  /** Port to listen on. Default: a free one. */
  readonly port?: number | undefined;
  readonly to: { readonly host: string; readonly port: number };
}

const retransmissionMs = 200;
/** Most bytes on their way in one direction of a connection: more than a link of 1 Gbit/s holds in 100 ms. */
const maxQueuedBytes = 16 * 1024 * 1024;

/**
 * A long, bad or broken path to an address, for TCP. Times are exact to about a millisecond. It can be cut: bytes on
 * their way stay there, no more are taken, and neither end is told. While it is cut the kernel still completes the
 * handshake of new connections, which a dead cable would not; not a byte of theirs gets through.
 */
export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #to: RelayOptions['to'];
  readonly #way: Way;
  readonly #sockets = new Set<Socket>();

  /** Starts to listen. Throws the errors of listening. */
  static async listen(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    relay.#server.listen(options.port ?? 0, options.host);
    await once(relay.#server, 'listening');
    return relay;
  }

  private constructor(options: RelayOptions) {
    const { to, delayMs = 0, jitterMs = 0, lossRate = 0 } = options;
    this.#to = to;
    this.#way = new Way({ delayMs, jitterMs, lossRate });
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#join(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Changes the treatment of chunks that come from now on. */
  set(change: Partial<RelayConditions>): void {
    this.#way.conditions = { ...this.#way.conditions, ...change };
  }

  /** Lets nothing through any more, without telling anyone. */
  cut(): void {
    this.#way.isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Lets everything through again, first the bytes that were on their way. */
  restore(): void {
    this.#way.isCut = false;
    this.#way.changed();
  }

  /** Ends all connections as a machine that has forgotten them does. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(near: Socket): void {
    const far = connect({ ...this.#to, allowHalfOpen: true });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    carry(near, far, this.#way);
    carry(far, near, this.#way);
  }
}

/** The path that all connections of a relay share. */
class Way {
  conditions: RelayConditions;
  isCut = false;
  readonly #listeners = new Set<() => void>();

  constructor(conditions: RelayConditions) {
    this.conditions = conditions;
  }

  /** Returns the duration of one chunk's passage. */
  transitMs(): number {
    const { delayMs, jitterMs, lossRate } = this.conditions;
    const lossMs = Math.random() < lossRate ? retransmissionMs : 0;
    return delayMs + jitterMs * (2 * Math.random() - 1) + lossMs;
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** A chunk, or another event of a connection, and the time of its arrival. */
interface Parcel {
  readonly content: Buffer | 'end' | 'reset';
  readonly dueMs: number;
}

/** Carries one direction of one connection for as long as it exists. */
function carry(from: Socket, to: Socket, way: Way): void {
  const direction = new Direction(from, to, way);
  const unsubscribe = way.onChange(() => direction.move());
  to.on('close', () => {
    unsubscribe();
    direction.stop();
  });
}

class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #way: Way;
  readonly #parcels: Parcel[] = [];
  #queuedBytes = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, way: Way) {
    this.#from = from;
    this.#to = to;
    this.#way = way;
    if (way.isCut) from.pause();
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => this.#take('end'));
    from.on('close', (hadError) => this.#take(hadError ? 'reset' : 'end'));
    to.on('drain', () => this.move());
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Hands over chunks that have arrived, and takes more where there is room. */
  move(): void {
    clearTimeout(this.#timer);
    if (this.#way.isCut) return;
    for (
      let parcel = this.#parcels[0];
      parcel !== undefined && !this.#to.writableNeedDrain;
      parcel = this.#parcels[0]
    ) {
      const waitMs = parcel.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.move(), waitMs);
        break;
      }
      this.#parcels.shift();
      this.#deliver(parcel);
    }
    if (this.#queuedBytes < maxQueuedBytes) this.#from.resume();
  }

  #take(content: Parcel['content']): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#way.transitMs());
    this.#parcels.push({ content, dueMs: this.#lastDueMs });
    if (content instanceof Buffer) this.#queuedBytes += content.byteLength;
    if (this.#queuedBytes >= maxQueuedBytes) this.#from.pause();
    this.move();
  }

  #deliver({ content }: Parcel): void {
    if (content === 'reset') this.#to.resetAndDestroy();
    else if (content === 'end') this.#to.end();
    else {
      this.#queuedBytes -= content.byteLength;
      if (this.#to.writable) this.#to.write(content);
    }
  }
}
