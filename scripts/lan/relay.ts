import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** How a relay treats what passes it, in each direction. */
export interface RelayConditions {
  /** From one end to the other, in milliseconds. */
  readonly delayMs: number;
  /** The delay varies by up to this much up and down, in milliseconds. The order stays. */
  readonly jitterMs: number;
  /**
   * The share of chunks, of up to 64 KiB, of which something is lost. TCP sends it again, so what a reader sees of a loss
   * is that this and everything behind it comes 200 ms later: the shortest timeout after which Linux retransmits. That
   * the sender slows down after a loss is not modelled.
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
/** What is on its way in one direction of a connection: more than a link of 1 Gbit/s holds in 100 ms. */
const maxQueuedBytes = 16 * 1024 * 1024;

/**
 * A long, bad or broken way to an address, for TCP. Times are exact to about a millisecond. It can be cut: what was on its
 * way stays there, nothing more is taken, and neither end is told. While it is cut the kernel still completes the
 * handshake of new connections, which a dead cable would not; not a byte of theirs gets through.
 */
export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #to: RelayOptions['to'];
  readonly #way: Way;
  readonly #sockets = new Set<Socket>();

  /** Starts to listen. Throws what listening does. */
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

  /** Changes what becomes of chunks that come from now on. */
  set(change: Partial<RelayConditions>): void {
    this.#way.conditions = { ...this.#way.conditions, ...change };
  }

  /** Lets nothing through any more, without telling anyone. */
  cut(): void {
    this.#way.isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Lets everything through again, first what was on its way. */
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

/** What all connections of a relay have in common. */
class Way {
  conditions: RelayConditions;
  isCut = false;
  readonly #listeners = new Set<() => void>();

  constructor(conditions: RelayConditions) {
    this.conditions = conditions;
  }

  /** How long one chunk takes. */
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

/** A chunk, or what else happens to a connection, and when it arrives. */
interface Parcel {
  readonly content: Buffer | 'end' | 'reset';
  readonly dueMs: number;
}

/** Carries one direction of one connection for as long as it is there. */
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

  /** Hands over what has arrived, and takes more where there is room. */
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
