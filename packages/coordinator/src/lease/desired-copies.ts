import type { FrameStream, Mesh, Remote } from '@skein/mesh';
import {
  compareChanges,
  desiredAnswerSchema,
  desiredRequestSchema,
  maxDesiredCopyBytes,
  methods,
  parseHeader,
  SkeinError,
  type DesiredAnswer,
  type DesiredChange,
  type DesiredRequest,
  type Logger,
} from '@skein/protocol';

import type { DesiredCopy, DesiredFile, DesiredStore } from '../deployments/index.ts';
import type { Schedule } from '../timers.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

export interface DesiredCopiesComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'handle' | 'open' | 'peerId'>;
  readonly keeper: Pick<LeaseKeeper, 'followed' | 'tenure'>;
  readonly file: DesiredFile;
  readonly logger: Logger;
  readonly schedule: Schedule;
}

/** Longest wait for another coordinator, in milliseconds. */
const answerMs = 3000;
/** Pause before a copy that was not taken is sent again, in milliseconds. */
const retryMs = 2000;

/**
 * The copies of the desired state at the other coordinators of the mesh. The holder of the lease sends each change to all
 * of them, and a successor begins with the newest copy that it reaches: what it takes over is what the holder wanted.
 */
export class DesiredCopies implements DesiredStore {
  readonly #components: DesiredCopiesComponents;
  readonly #served = new DisposableStack();
  readonly #stopped = new AbortController();
  /** The newest change that each coordinator keeps, by peer id. */
  readonly #kept = new Map<string, DesiredChange>();
  readonly #sending = new Map<string, Promise<void>>();
  #retry: Disposable | undefined;

  constructor(components: DesiredCopiesComponents) {
    this.#components = components;
  }

  /** Keeps the holder's copies from now on, and sends those of this coordinator while it is the holder. */
  start(): void {
    const { mesh } = this.#components;
    this.#served.use(mesh.handle(methods.desired, async (stream, remote) => await this.#answer(stream, remote)));
    this.#served.defer(mesh.cards.onChange(() => this.#spread()));
  }

  stop(): void {
    this.#stopped.abort(new SkeinError('not-running', 'the coordinator is stopping'));
    this.#retry?.[Symbol.dispose]();
    this.#served.dispose();
  }

  /**
   * Reads the newest desired state that any coordinator in reach has, for a tenure that begins.
   *
   * @throws SkeinError as {@link DesiredFile.load} does
   */
  async load(): ReturnType<DesiredStore['load']> {
    const { keeper, file, logger } = this.#components;
    this.#kept.clear();
    let newest = await file.copy();
    const copies = await Promise.all(this.#others().map(async (peer) => await this.#ask(peer)));
    for (const copy of copies) if (compareChanges(copy?.change, newest?.change) > 0) newest = copy;
    if (newest !== undefined && (await file.replace(newest))) {
      logger.info({ ...newest.change }, 'the desired deployments come from another coordinator, which has newer ones');
    }
    file.beginEpoch(keeper.tenure?.epoch ?? 0);
    const loaded = await file.load();
    this.#spread();
    return loaded;
  }

  save(...args: Parameters<DesiredStore['save']>): void {
    this.#components.file.save(...args);
  }

  /** Resolves when the last change is on the disk, and with the coordinators in reach, or they take long. */
  async saved(): Promise<void> {
    await this.#components.file.saved();
    this.#spread();
    await Promise.all(this.#sending.values());
  }

  #others(): readonly string[] {
    const { mesh } = this.#components;
    const cards = mesh.cards
      .snapshot()
      .filter(({ peer, roles }) => peer !== mesh.peerId && roles.includes('coordinator'));
    return cards.map(({ peer }) => peer);
  }

  /** Sends the newest change to each coordinator that does not keep it yet. */
  #spread(): void {
    const { keeper, file, schedule } = this.#components;
    if (this.#stopped.signal.aborted || keeper.tenure === undefined) return;
    const { newest } = file;
    if (newest === undefined || newest.bytes.byteLength > maxDesiredCopyBytes) return;
    for (const peer of this.#others()) {
      if (this.#sending.has(peer) || compareChanges(this.#kept.get(peer), newest.change) >= 0) continue;
      const sending = this.#send(peer, newest).then((isKept) => {
        this.#sending.delete(peer);
        if (isKept) return this.#spread();
        this.#retry?.[Symbol.dispose]();
        this.#retry = schedule(retryMs, () => this.#spread());
      });
      this.#sending.set(peer, sending);
    }
  }

  /** Sends a copy. Resolves with whether it was kept; never rejects. */
  async #send(peer: string, { change, bytes }: DesiredCopy): Promise<boolean> {
    try {
      const { header } = await this.#exchange(peer, { type: 'desired-copy', change }, bytes);
      if (header.type !== 'desired-kept') return false;
      this.#kept.set(peer, change);
      return true;
    } catch (error) {
      this.#components.logger.debug({ error, peer }, 'a coordinator has not kept the desired deployments yet');
      return false;
    }
  }

  /** Asks a coordinator for the copy that it keeps; undefined where it has none, or does not answer in time. */
  async #ask(peer: string): Promise<DesiredCopy | undefined> {
    try {
      const { header, payload } = await this.#exchange(peer, { type: 'desired-ask' });
      return header.type === 'desired-copy' ? { change: header.change, bytes: payload } : undefined;
    } catch (error) {
      this.#components.logger.debug({ error, peer }, 'a coordinator does not tell which deployments are desired');
      return undefined;
    }
  }

  async #exchange(
    peer: string,
    request: DesiredRequest,
    bytes?: Uint8Array,
  ): Promise<{ readonly header: DesiredAnswer; readonly payload: Uint8Array }> {
    const signal = AbortSignal.any([AbortSignal.timeout(answerMs), this.#stopped.signal]);
    await using stream = await this.#components.mesh.open(peer, methods.desired, { signal });
    await stream.write(request, bytes, { signal });
    const frame = await stream.read({ signal });
    if (frame === undefined) throw new SkeinError('peer-lost', 'ended the stream without an answer');
    return { header: parseHeader(desiredAnswerSchema, frame.header), payload: Uint8Array.from(frame.payload) };
  }

  async #answer(stream: FrameStream, { peerId }: Remote): Promise<void> {
    const { file, keeper } = this.#components;
    const frame = await stream.read();
    const request = parseHeader(desiredRequestSchema, frame?.header);
    if (request.type === 'desired-ask') {
      const copy = await file.copy();
      const answer: DesiredAnswer =
        copy === undefined ? { type: 'desired-none' } : { type: 'desired-copy', change: copy.change };
      return await stream.write(answer, copy?.bytes);
    }
    // The holder alone says what is desired; one that we have not heard of yet sends it again.
    if (keeper.tenure !== undefined || keeper.followed?.holder !== peerId) {
      throw new SkeinError('stale-lease', 'this coordinator follows another one');
    }
    await file.replace({ change: request.change, bytes: Uint8Array.from(frame?.payload ?? []) });
    await stream.write({ type: 'desired-kept' } satisfies DesiredAnswer);
  }
}
