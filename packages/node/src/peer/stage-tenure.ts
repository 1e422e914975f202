import { untilAborted, type FrameStream, type Mesh, type Schedule } from '@skein/mesh';
import {
  asSkeinError,
  isSkeinError,
  parseHeader,
  SkeinError,
  stageCommandSchema,
  toWireError,
  type Lease,
  type Logger,
  type StageCommand,
  type StageConnect,
  type StageEvent,
} from '@skein/protocol';

import type { HostedStage } from './hosted-stage.ts';
import type { LeaseFence } from './lease-fence.ts';
import { throttledProgress } from './throttled-progress.ts';

export interface StageTenureComponents {
  readonly mesh: { readonly cards: Pick<Mesh['cards'], 'snapshot'> };
  readonly logger: Logger;
  readonly schedule: Schedule;
  readonly fence: Pick<LeaseFence, 'assertObeyed'>;
}

export interface StageTenureOptions {
  readonly stage: HostedStage;
  /** Fires when the peer stops. */
  readonly stopping: AbortSignal;
}

/** A coordinator that holds a stage, by its stream. */
interface Holder {
  readonly coordinator: string;
  /** The lease that it has shown; undefined where it knew of none. */
  readonly lease: Lease | undefined;
  readonly stream: FrameStream;
}

/**
 * The time of one stage on this peer. A coordinator holds it by a stream, and another one may take it over. A stage that
 * serves outlives the stream of its holder by its grace time, and by more while it is used; one that does not serve yet
 * ends with the stream.
 */
export class StageTenure {
  readonly #components: StageTenureComponents;
  readonly #stage: HostedStage;
  readonly #stopping: AbortSignal;
  /** Fires when nobody holds the stage any more. */
  readonly #released = new AbortController();
  /** Fires, with the reason, when a holder breaks the protocol. */
  readonly #broken = new AbortController();
  #connect = Promise.withResolvers<StageConnect>();
  readonly #over = Promise.withResolvers<void>();
  #holder: Holder | undefined;
  #grace: Disposable | undefined;

  constructor(components: StageTenureComponents, { stage, stopping }: StageTenureOptions) {
    this.#components = components;
    this.#stage = stage;
    this.#stopping = stopping;
  }

  /**
   * Loads the stage and keeps it to its end, of which its holder is told the reason. Resolves when its process is gone.
   * Call {@link serve} for its first holder before.
   */
  async run(): Promise<void> {
    const stage = this.#stage;
    const signal = AbortSignal.any([this.#released.signal, this.#broken.signal, stage.ended, this.#stopping]);
    const report = (event: StageEvent): void => this.#report(event);
    try {
      await stage.prepare(throttledProgress(report), signal);
      stage.onParted((error) => {
        report({ type: 'stage-parted', error: toWireError(error) });
        // Nobody would close the ring anew.
        if (this.#holder === undefined) this.#abandon();
      });
      for (;;) {
        const command = await untilAborted(this.#connect.promise, signal);
        this.#connect = Promise.withResolvers();
        await stage.connect(command, signal);
        report({ type: 'stage-connected' });
      }
    } catch (error) {
      if (!this.#released.signal.aborted) await this.#fail(asSkeinError(error));
    } finally {
      this.#grace?.[Symbol.dispose]();
      await stage[Symbol.asyncDispose]();
      this.#over.resolve();
    }
  }

  /** Whether it is coming to its end. */
  get isEnding(): boolean {
    return [this.#released.signal, this.#broken.signal, this.#stage.ended].some(({ aborted }) => aborted);
  }

  /** Resolves when the stage is over, and its process gone. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** The stage itself. */
  get stage(): HostedStage {
    return this.#stage;
  }

  /**
   * Serves a coordinator that has taken over the stage of another one, or of its own earlier self.
   *
   * @throws SkeinError `not-deployed` unless the stage serves
   */
  async attach(holder: Holder): Promise<void> {
    const { ready, load, isEstablished, isDraining } = this.#stage;
    if (ready === undefined || !isEstablished || isDraining) {
      throw new SkeinError('not-deployed', 'this stage does not serve; load it anew');
    }
    const former = this.#holder;
    const serving = this.serve(holder);
    this.#report(ready);
    if (load.stages > 1) this.#report({ type: 'stage-connected' });
    await former?.stream.fail(new SkeinError('aborted', 'another coordinator has taken this stage over'));
    await serving;
  }

  /** Serves a coordinator as the holder of the stage. Returns when the stage is over, or the coordinator is gone. */
  async serve(holder: Holder): Promise<void> {
    this.#grace?.[Symbol.dispose]();
    this.#holder = holder;
    await Promise.race([this.#follow(holder), this.#over.promise]);
  }

  async #follow(holder: Holder): Promise<void> {
    const { stream } = holder;
    try {
      // Not `for await`: leaving that for an error drops the stream, and the coordinator is to hear of the error.
      for (let frame = await stream.read(); frame !== undefined; frame = await stream.read()) {
        if (this.#holder !== holder) return;
        const command = parseHeader(stageCommandSchema, frame.header);
        this.#components.fence.assertObeyed(holder.coordinator, holder.lease);
        this.#obey(command);
      }
    } catch (error) {
      if (this.#holder !== holder) return;
      // A coordinator that was replaced loses its hold, and the stage loses nothing.
      if (isSkeinError(error) && error.code === 'stale-lease') await stream.fail(error);
      else if (!stream.lost.aborted) this.#broken.abort(asSkeinError(error));
      else this.#components.logger.debug({ error, ...this.#fields }, 'the holder of a stage was lost');
    }
    if (this.#holder !== holder) return;
    if (!this.#broken.signal.aborted) {
      this.#holder = undefined;
      this.#abandon();
    }
    // The end of the stream tells its holder that the stage is gone.
    if (this.#released.signal.aborted || this.#broken.signal.aborted) await this.#over.promise;
  }

  #obey(command: StageCommand): void {
    switch (command.type) {
      case 'stage-connect':
        return this.#connect.resolve(command);
      case 'stage-part':
        if (this.#stage.part(command)) this.#report({ type: 'stage-parted' });
        return;
      case 'stage-serve':
        return this.#stage.serve();
      case 'stage-unload':
        return this.#released.abort();
      case 'stage-drain':
        return this.#stage.drain((running) => {
          this.#report({ type: 'stage-draining', running });
          if (this.#holder === undefined) this.#abandon();
        }, command);
    }
  }

  /** Gives a stage without a holder its grace time, where it deserves one. */
  #abandon(): void {
    const { load, isEstablished, isDrained } = this.#stage;
    const { graceMs = 0 } = load;
    if (this.#released.signal.aborted) return;
    if (graceMs === 0 || !isEstablished || isDrained) return this.#released.abort();
    this.#grace?.[Symbol.dispose]();
    this.#grace = this.#components.schedule(graceMs, () => {
      if (this.#isUsed) return this.#abandon();
      this.#components.logger.info(this.#fields, 'a stage without a coordinator is unloaded');
      this.#released.abort();
    });
  }

  /** Whether the deployment has work, as the card of its lead shows. */
  get #isUsed(): boolean {
    const stages = this.#components.mesh.cards.snapshot().flatMap((card) => card.stages);
    const { deployment } = this.#stage.load;
    return stages.some((stage) => stage.deployment === deployment && stage.active + stage.queued > 0);
  }

  get #fields() {
    const { deployment, stage } = this.#stage.load;
    return { deployment, stage };
  }

  #report(event: StageEvent): void {
    const { stream } = this.#holder ?? {};
    // A holder that is lost is noticed by the read of its stream.
    stream?.write(event).catch(() => stream.abort());
  }

  async #fail(failure: SkeinError): Promise<void> {
    const holder = this.#holder;
    const { code, message: reason, cause } = failure;
    // A peer that is shutting down ends its stages on purpose.
    const level = this.#stopping.aborted ? 'debug' : 'warn';
    this.#components.logger[level](
      { ...this.#fields, coordinator: holder?.coordinator, code, reason, cause },
      'stage ended',
    );
    const event: StageEvent = { type: 'stage-failed', error: toWireError(failure) };
    await holder?.stream.write(event).catch(() => holder.stream.abort());
  }
}
