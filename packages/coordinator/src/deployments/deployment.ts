import type { Mesh } from '@skein/mesh';
import {
  asSkeinError,
  invariant,
  leaseSchema,
  limits,
  plannedSpecSchema,
  SkeinError,
  toWireError,
  type DeploymentState,
  type Lease,
  type DeploymentStatus,
  type Logger,
  type PlannedSpec,
  type StageAttach,
  type StageLoad,
  type StageStatus,
} from '@skein/protocol';

import type { MeshModel } from './held-model.ts';
import { maxExplanation, type LastPlacement } from './last-placement.ts';
import { reserveStage } from './reserve-stage.ts';
import { StageLink, type StageReady, type StageTimeouts } from './stage-link.ts';

export interface DeploymentComponents {
  readonly mesh: Pick<Mesh, 'open'>;
  readonly logger: Logger;
  /** Returns the lease by which stages are placed. Default: none. */
  readonly lease?: (() => Lease | undefined) | undefined;
  /** Called with the lease because of which a peer has refused ours. */
  readonly onReplaced?: ((accepted: Lease) => void) | undefined;
}

export interface DeploymentOptions {
  readonly id: string;
  /** Name of the model. */
  readonly name: string;
  readonly plan: Pick<LastPlacement, 'stages' | 'explanation' | 'prediction'>;
  /** Names of the plan's machines, by stage. */
  readonly machines: readonly string[];
  /** The spec as it was planned. */
  readonly spec: PlannedSpec;
  readonly timeouts: StageTimeouts;
  /** Start of the deployment, in milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * Time for which peers keep stages that serve after this coordinator is gone, in milliseconds: enough for a restart, and
 * for an update of the machine.
 */
const graceMs = 600_000;

export type DeploymentObserver = (status: DeploymentStatus) => void;

/**
 * One replica on its peers. It serves once {@link load} or {@link adopt} has resolved, until a stage is lost or it is
 * drained or closed.
 */
export class Deployment {
  readonly #components: DeploymentComponents;
  readonly #options: DeploymentOptions;
  readonly #over = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  /** Links to the stages, by number. */
  readonly #links = new Map<number, StageLink>();
  readonly #stages: StageStatus[];
  readonly #observers = new Set<DeploymentObserver>();
  #state: DeploymentState = 'loading';
  #running: number | undefined;
  #ending: Promise<void> | undefined;
  #error: SkeinError | undefined;

  constructor(components: DeploymentComponents, options: DeploymentOptions) {
    this.#components = components;
    this.#options = options;
    this.#stages = options.plan.stages.map(({ peer, block, bytes, devices }) => ({
      peer,
      block,
      plannedBytes: bytes,
      ...(devices !== undefined && { plannedDevices: devices }),
      state: 'loading',
    }));
  }

  get id(): string {
    return this.#options.id;
  }

  get state(): DeploymentState {
    return this.#state;
  }

  /** Peer id of the lead. */
  get lead(): string {
    return invariant(this.#stages[0], 'a deployment has a stage').peer;
  }

  /** Its place, for a coordinator that takes it over. */
  get placement(): LastPlacement {
    const { spec, plan, startedAt } = this.#options;
    const { explanation, prediction } = plan;
    const stages = plan.stages.map(({ peer, block, bytes, devices }) => ({
      peer,
      block,
      bytes,
      ...(devices && { devices }),
    }));
    return {
      spec: plannedSpecSchema.parse(spec),
      stages,
      explanation: explanation.slice(0, maxExplanation),
      ...(prediction && { prediction }),
      startedAt,
    };
  }

  /** Resolves when it has failed or is being taken down. */
  get over(): Promise<void> {
    return this.#ended.promise;
  }

  /** Calls an observer at every change, until the returned function is called. Errors of the observer change nothing. */
  observe(observer: DeploymentObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  status(): DeploymentStatus {
    const { id, name, spec, plan, startedAt } = this.#options;
    const { stages: _stages, layers: _layers, ...settings } = spec;
    return {
      ...settings,
      id,
      name,
      state: this.#state,
      ...(this.#error === undefined ? {} : { error: toWireError(this.#error) }),
      ...(this.#state === 'draining' && this.#running !== undefined && { running: this.#running }),
      stages: [...this.#stages],
      explanation: plan.explanation,
      ...(plan.prediction !== undefined && { prediction: plan.prediction }),
      startedAt,
    };
  }

  /**
   * Loads all stages at once, then closes the ring.
   *
   * @throws SkeinError the first failure; nothing is left on the peers then
   */
  async load(model: Pick<MeshModel, 'manifest' | 'holders'>): Promise<void> {
    await this.#begin(async () => {
      this.#changed();
      {
        await using _reserved = await this.#reserve();
        await Promise.all(this.#stages.map(async (_, stage) => await this.#requestStage(stage, model)));
      }
      await Promise.all(this.#stages.map(async (_, stage) => this.#isReady(stage, await this.#link(stage).ready)));
      if (this.#stages.length > 1) {
        this.#advance('connecting');
        await Promise.all(this.#stages.map(async (_, stage) => await this.#connectStage(stage)));
      }
    });
  }

  /**
   * Takes over the stages, which serve, from an earlier coordinator.
   *
   * @throws SkeinError the first failure; nothing is left on the peers then
   */
  async adopt(): Promise<void> {
    await this.#begin(async () => {
      this.#enter('connecting');
      await Promise.all(this.#stages.map(async (_, stage) => await this.#adoptStage(stage)));
    });
  }

  async #begin(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#advance('ready');
    } catch (error) {
      this.fail(asSkeinError(error));
      // The cause that came first may have made other waits fail with something less telling.
      throw this.#error ?? error;
    }
  }

  /** Gives the deployment up because of an error. Does nothing once it is over. */
  fail(error: SkeinError): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    this.#error = error;
    const accepted = leaseSchema.safeParse(error.details);
    if (error.code === 'stale-lease' && accepted.success) this.#components.onReplaced?.(accepted.data);
    this.#components.logger.warn(
      { deployment: this.id, model: this.#options.name, code: error.code, reason: error.message },
      'a deployment failed',
    );
    void this.#end('failed', error);
  }

  /**
   * Drains the deployment: it takes no more requests, and its status says how many run. Ignored where it does not serve.
   *
   * @param options.handOver whether answers that can go on elsewhere do
   */
  drain(options: { readonly handOver: boolean }): void {
    if (this.#state !== 'ready') return;
    this.#enter('draining');
    // A link that is lost fails the deployment, which says more.
    this.#link(0)
      .drain(options)
      .catch(() => undefined);
  }

  /** Takes the deployment down. Resolves when the peers have released it. */
  async close(): Promise<void> {
    await this.#end('closed', new SkeinError('aborted', 'the deployment was taken down'));
  }

  /** Lets go of the deployment without a word: its peers keep it for a while if it serves. Nobody is told. */
  async leave(): Promise<void> {
    this.#observers.clear();
    const serves = this.#state === 'ready' || this.#state === 'draining';
    this.#state = 'closed';
    this.#over.abort(new SkeinError('not-running', 'the coordinator is stopping'));
    const links = [...this.#links.values()];
    this.#ending ??= Promise.all(links.map(async (link) => await (serves ? link.leave() : link.close()))).then(
      () => undefined,
    );
    await this.#ending;
  }

  async #end(state: 'failed' | 'closed', reason: SkeinError): Promise<void> {
    this.#enter(state);
    this.#over.abort(reason);
    this.#ended.resolve();
    this.#ending ??= this.#closeLinks(state);
    await this.#ending;
  }

  /** Closes the links; of a deployment that served the lead's first, which hands its answers over while the ring is whole. */
  async #closeLinks(state: 'failed' | 'closed'): Promise<void> {
    if (state === 'closed') await this.#links.get(0)?.close();
    await Promise.all([...this.#links.values()].map(async (link) => await link.close()));
  }

  /**
   * Has each peer of a pipeline keep memory free, so that no other plan gets between: all agree, or nothing is loaded.
   * One machine alone decides by itself.
   */
  async #reserve(): Promise<AsyncDisposable> {
    const reservations = new AsyncDisposableStack();
    if (this.#stages.length === 1) return reservations;
    const { mesh, lease } = this.#components;
    const { signal } = this.#over;
    const reserved = await Promise.allSettled(
      this.#stages.map(async ({ peer, plannedBytes }, stage) => {
        const place = { deployment: this.id, stage, bytes: plannedBytes, lease: lease?.() };
        reservations.use(await reserveStage(mesh, { peer, name: this.#machine(stage), place, signal }));
      }),
    );
    const refused = reserved.find((one) => one.status === 'rejected');
    if (refused === undefined) return reservations;
    await reservations.disposeAsync();
    throw refused.reason;
  }

  async #requestStage(stage: number, model: Pick<MeshModel, 'manifest' | 'holders'>): Promise<void> {
    const { id, name, plan, spec } = this.#options;
    const { block } = this.#place(stage);
    const previous = plan.stages.length > 1 ? plan.stages.at(stage - 1)?.peer : undefined;
    await this.#open(stage, {
      type: 'stage-load',
      deployment: id,
      manifest: model.manifest,
      name,
      stage,
      stages: plan.stages.length,
      block,
      ...(previous === undefined ? {} : { previous }),
      sources: model.holders.slice(0, limits.maxStages),
      spec,
      graceMs,
      ...(stage === 0 &&
        plan.prediction !== undefined && { predictedTokensPerSecond: plan.prediction.oneStreamTokensPerSecond }),
    });
  }

  async #adoptStage(stage: number): Promise<void> {
    const link = await this.#open(stage, { type: 'stage-attach', deployment: this.id, stage });
    this.#isReady(stage, await link.ready);
    if (this.#stages.length === 1) return;
    await link.connected;
    this.#update(stage, { state: 'connected' });
  }

  async #open(stage: number, opening: StageLoad | StageAttach): Promise<StageLink> {
    const link = await StageLink.open(this.#components.mesh, {
      peer: this.#place(stage).peer,
      name: this.#machine(stage),
      opening,
      lease: this.#components.lease ?? (() => undefined),
      timeouts: this.#options.timeouts,
      signal: this.#over.signal,
      onProgress: ({ phase, doneBytes, totalBytes }) =>
        this.#update(stage, { progress: { phase, doneBytes, totalBytes } }),
      onRunning: (running) => {
        this.#running = running;
        this.#changed();
      },
      onLost: (error) => this.fail(error),
    });
    this.#links.set(stage, link);
    // It may have ended while the stream was being opened.
    if (this.#over.signal.aborted) await link.close();
    return link;
  }

  #isReady(stage: number, { backend, fetchedBytes, fileBytes, placement }: StageReady): void {
    this.#update(stage, { state: 'ready', backend, fetchedBytes, fileBytes, ...(placement && { placement }) });
  }

  #place(stage: number): LastPlacement['stages'][number] {
    return invariant(this.#options.plan.stages[stage], 'a stage has a place in the plan');
  }

  async #connectStage(stage: number): Promise<void> {
    const next = (stage + 1) % this.#stages.length;
    const peer = this.#stages[next]?.peer;
    if (peer === undefined) throw new SkeinError('internal', 'a ring without stages');
    await this.#link(stage).connect({ peer, name: this.#machine(next) });
    this.#update(stage, { state: 'connected' });
  }

  #link(stage: number): StageLink {
    const link = this.#links.get(stage);
    if (link === undefined) throw new SkeinError('internal', 'a stage that was loaded without a link');
    return link;
  }

  #machine(stage: number): string {
    const name = this.#options.machines[stage];
    if (name === undefined) throw new SkeinError('internal', 'a stage on a machine without a name');
    return name;
  }

  #update(stage: number, change: Partial<StageStatus>): void {
    const before = this.#stages[stage];
    if (before !== undefined) {
      const { progress, ...status } = { ...before, ...change };
      const isLoading = status.state === 'loading' && progress !== undefined;
      this.#stages[stage] = isLoading ? { ...status, progress } : status;
    }
    this.#changed();
  }

  /** Advances to the next state, unless a loss or a close came in between. */
  #advance(state: 'connecting' | 'ready'): void {
    this.#over.signal.throwIfAborted();
    this.#enter(state);
  }

  #enter(state: DeploymentState): void {
    this.#state = state;
    this.#changed();
  }

  #changed(): void {
    const status = this.status();
    for (const observer of this.#observers) {
      try {
        observer(status);
      } catch (error) {
        this.#components.logger.error({ error, deployment: this.id }, 'an observer of a deployment failed');
      }
    }
  }
}
