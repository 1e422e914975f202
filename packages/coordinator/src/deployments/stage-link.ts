import type { FrameStream, Mesh } from '@skein/mesh';
import {
  asSkeinError,
  fromWireError,
  methods,
  parseHeader,
  SkeinError,
  stageEventSchema,
  type Lease,
  type StageAttach,
  type StageCommand,
  type StageEvent,
  type StageLoad,
} from '@skein/protocol';

export type StageProgress = Extract<StageEvent, { type: 'stage-progress' }>;
export type StageReady = Extract<StageEvent, { type: 'stage-ready' }>;

/** Longest waits for the stages of one deployment, in milliseconds. */
export interface StageTimeouts {
  /** For any sign of progress while a stage loads. Default 120,000: reading a large model from a slow disk is silent. */
  readonly loadStallMs: number;
  /** For the stream to the next stage. Default 30,000. */
  readonly connectMs: number;
  /** For a peer to confirm that it has unloaded; after that the stream is dropped. Default 5,000. */
  readonly closeMs: number;
  /**
   * For generations that other leads can continue to leave a lead that hands them over; they end when it is over. Default
   * 600,000, the most that a lead takes: reading 8,000 tokens of an 8B model takes a processor three minutes, and meanwhile
   * nobody's answer waits. Runs whose other lead does not read on leave after a minute by themselves.
   */
  readonly leaveMs: number;
}

export interface StageLinkOptions {
  readonly peer: string;
  /** Name of its machine, for messages. */
  readonly name: string;
  /** The stage to load, or the one to attach to. */
  readonly opening: StageLoad | StageAttach;
  /** Returns the lease by which it is placed; undefined where there are no leases. */
  readonly lease: () => Lease | undefined;
  readonly timeouts: StageTimeouts;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: StageProgress) => void;
  /** Called with the number of generations that still run, once the lead is being drained. */
  readonly onRunning: (running: number) => void;
  /** Called when a stage that served has lost a neighbour, and waits for its ring to be closed anew. */
  readonly onParted: () => void;
  /** Called once when the stage fails or its peer is lost, at any time; not after {@link StageLink.close}. */
  readonly onLost: (error: SkeinError) => void;
}

/**
 * The hold on one stage on one peer, by a stream. The peer unloads the stage on command; it keeps a stage that serves for
 * a while when the stream ends without that.
 */
export class StageLink {
  readonly #stream: FrameStream;
  readonly #options: StageLinkOptions;
  readonly #ready = Promise.withResolvers<StageReady>();
  #connected = Promise.withResolvers<void>();
  #parted = Promise.withResolvers<void>();
  #failure: SkeinError | undefined;
  readonly #over: Promise<void>;
  #isReady = false;
  #isClosing = false;

  private constructor(stream: FrameStream, options: StageLinkOptions) {
    this.#stream = stream;
    this.#options = options;
    // Waiters get the rejection; when there are none, onLost tells.
    this.#ready.promise.catch(() => undefined);
    this.#connected.promise.catch(() => undefined);
    this.#parted.promise.catch(() => undefined);
    this.#over = this.#follow();
  }

  /**
   * Asks the peer to load the stage, or takes over one that it holds; {@link ready} reports the result.
   *
   * @throws SkeinError the errors of opening a stream, when the peer can't be reached
   */
  static async open(mesh: Pick<Mesh, 'open'>, options: StageLinkOptions): Promise<StageLink> {
    const { peer, opening, lease: leaseNow, signal } = options;
    const stream = await mesh.open(peer, methods.stage, { signal });
    try {
      const lease = leaseNow();
      await stream.write({ ...opening, ...(lease !== undefined && { lease }) }, undefined, { signal });
      signal.throwIfAborted();
    } catch (error) {
      stream.abort();
      throw error;
    }
    return new StageLink(stream, options);
  }

  /**
   * Resolves when the stage is loaded. Rejects with the error of `onLost`, and with `aborted` when the link is closed
   * first.
   */
  get ready(): Promise<StageReady> {
    return this.#ready.promise;
  }

  /** Resolves when the stream to the next stage's peer is open. Rejects as {@link ready} does. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** The reason why it is over; undefined while it is not. */
  get failure(): SkeinError | undefined {
    return this.#failure;
  }

  /** Makes the peer open the ring to the next stage's peer; resolves when it has. */
  async connect(next: { readonly peer: string; readonly name: string }): Promise<void> {
    const { name, timeouts } = this.#options;
    const late = `${name} could not reach ${next.name} in ${timeouts.connectMs / 1000} s; see \`skein doctor\` on either`;
    this.#connected = Promise.withResolvers();
    await this.#command({ type: 'stage-connect', next: next.peer }, this.#connected.promise, late);
  }

  /** Makes the stage let go of its neighbours, and take the ring from another peer; resolves when it has. */
  async part(previous: string): Promise<void> {
    const { name, timeouts } = this.#options;
    const late = `${name} did not let go of its ring in ${timeouts.connectMs / 1000} s`;
    this.#parted = Promise.withResolvers();
    await this.#command({ type: 'stage-part', previous }, this.#parted.promise, late);
  }

  async #command(command: StageCommand, answer: Promise<void>, late: string): Promise<void> {
    // The failure of the link comes to it, too, when nobody waits.
    answer.catch(() => undefined);
    if (this.#failure !== undefined) throw this.#failure;
    const error = new SkeinError('deadline-exceeded', late);
    const timer = setTimeout(() => this.#stream.abort(error), this.#options.timeouts.connectMs);
    try {
      await this.#stream.write(command);
      await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Drains the lead: it takes no more generations, and tells `onRunning` how many run until none does. That has no
   * deadline: generations end by themselves, and a lead that hangs is lost. Throws when the stage is lost.
   *
   * @param options.handOver whether generations that other leads can continue leave, with some time for that
   */
  async drain({ handOver }: { readonly handOver: boolean }): Promise<void> {
    const { leaveMs: withinMs } = this.#options.timeouts;
    const leaving = handOver ? { handOver, withinMs } : {};
    await this.#stream.write({ type: 'stage-drain', ...leaving } satisfies StageCommand);
  }

  /** Has the lead of a standby take requests like any other from now on. Throws when the stage is lost. */
  async serve(): Promise<void> {
    await this.#stream.write({ type: 'stage-serve' } satisfies StageCommand);
  }

  /** Unloads the stage. Resolves when the peer has released it, or has not answered in time. Never throws. */
  async close(): Promise<void> {
    await this.#end({ type: 'stage-unload' });
  }

  /** Lets go of the stage, which its peer keeps for the grace time if it serves. Never throws. */
  async leave(): Promise<void> {
    await this.#end();
  }

  /** Ends the stream, with a last command if there is one, and waits for the peer to do so. */
  async #end(last?: StageCommand): Promise<void> {
    this.#isClosing = true;
    const { closeMs } = this.#options.timeouts;
    const timer = setTimeout(() => this.#stream.abort(), closeMs);
    try {
      if (last !== undefined) await this.#stream.write(last, undefined, { timeoutMs: closeMs });
      await this.#stream.end({ timeoutMs: closeMs });
    } catch {
      this.#stream.abort();
    }
    await this.#over;
    clearTimeout(timer);
  }

  /** Reads events until the stream is over, one way or another. */
  async #follow(): Promise<void> {
    let failure: SkeinError;
    try {
      for (;;) this.#take(await this.#nextEvent());
    } catch (error) {
      failure = asSkeinError(error, 'stage-lost');
    }
    if (this.#isClosing) failure = new SkeinError('aborted', 'the deployment was taken down');
    else this.#stream.abort();
    this.#failure = failure;
    this.#ready.reject(failure);
    this.#connected.reject(failure);
    this.#parted.reject(failure);
    if (!this.#isClosing) this.#options.onLost(failure);
  }

  async #nextEvent(): Promise<StageEvent> {
    const { name, timeouts } = this.#options;
    try {
      const frame = await this.#stream.read(this.#isReady ? {} : { timeoutMs: timeouts.loadStallMs });
      if (frame === undefined) throw new SkeinError('stage-lost', `${name} let go of its stage`);
      return parseHeader(stageEventSchema, frame.header);
    } catch (error) {
      const cause = asSkeinError(error, 'stage-lost');
      // These two come from the transport, which does not know whom they are about.
      if (cause.code === 'peer-lost')
        throw new SkeinError('peer-lost', `the connection to ${name} was lost`, { cause });
      if (cause.code !== 'deadline-exceeded' || this.#isReady) throw cause;
      const message = `${name} made no progress with its stage for ${timeouts.loadStallMs / 1000} s`;
      throw new SkeinError('deadline-exceeded', message, { cause });
    }
  }

  #take(event: StageEvent): void {
    switch (event.type) {
      case 'stage-progress':
        return this.#options.onProgress(event);
      case 'stage-ready':
        this.#isReady = true;
        return this.#ready.resolve(event);
      case 'stage-connected':
        return this.#connected.resolve();
      case 'stage-parted':
        return event.error === undefined ? this.#parted.resolve() : this.#options.onParted();
      case 'stage-draining':
        return this.#options.onRunning(event.running);
      case 'stage-reserved':
        throw new SkeinError('protocol-violation', `${this.#options.name} answers a reservation that nobody asked for`);
      case 'stage-failed': {
        // The peer says "this machine".
        const { code, message, details } = fromWireError(event.error);
        throw new SkeinError(code, `${this.#options.name}: ${message}`, { details });
      }
    }
  }
}
