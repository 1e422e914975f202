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
  /**
   * Finds another place for a stage that was lost, and the model; `isLeft`: its peer has ended it because it stops. Throws
   * where there is none.
   */
  readonly replaceStage: (stage: number, options: { isLeft: boolean; signal: AbortSignal }) => Promise<StagePlace>;
  /** Tells whether it is a standby now. Default: it is none. */
  readonly isStandby?: (() => boolean) | undefined;
}

/** A peer for a stage, and the model that it is to load. */
export interface StagePlace {
  readonly peer: string;
  /** Name of its machine. */
  readonly machine: string;
  readonly model: LoadedModel;
}

/** The model of a deployment, as far as its peers need to know where to get it. */
export type LoadedModel = Pick<MeshModel, 'manifest' | 'holders'>;

/**
 * Time for which peers keep stages that serve after this coordinator is gone, in milliseconds: enough for a restart, and
 * for an update of the machine.
 */
const graceMs = 600_000;

/**
 * Time for which stages wait for a lost one to be loaded elsewhere, in milliseconds: large ones are fetched and read for
 * minutes.
 */
const rejoinMs = 600_000;

/** Tells whether a deployment is on its peers, or about to be: it has neither failed nor been taken down. */
export function isOnPeers({ state }: Pick<Deployment, 'state'>): boolean {
  return state !== 'failed' && state !== 'closed';
}

export type DeploymentObserver = (status: DeploymentStatus) => void;

/**
 * One replica on its peers. It serves once {@link load} or {@link adopt} has resolved, until it is drained or closed, or
 * fails. Where it loses some of several stages, these alone are loaded anew, while the others keep their engines.
 */
export class Deployment {
  readonly #components: DeploymentComponents;
  readonly #options: DeploymentOptions;
  readonly #over = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  /** Links to the stages, by number. */
  readonly #links = new Map<number, StageLink>();
  readonly #stages: StageStatus[];
  /** Names of the machines, by stage. */
  readonly #machines: string[];
  readonly #observers = new Set<DeploymentObserver>();
  #state: DeploymentState = 'loading';
  #running: number | undefined;
  #isToldToServe = false;
  #rebuilding: Promise<boolean> | undefined;
  /** Number of times that a stage told that its ring was broken. */
  #breaks = 0;
  #ending: Promise<void> | undefined;
  #error: SkeinError | undefined;

  constructor(components: DeploymentComponents, options: DeploymentOptions) {
    this.#components = components;
    this.#options = options;
    this.#machines = [...options.machines];
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
    const stages = this.#stages.map(({ peer, block, plannedBytes, plannedDevices }) => ({
      peer,
      block,
      bytes: plannedBytes,
      ...(plannedDevices && { devices: [...plannedDevices] }),
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

  /** Resolves with whether it has all its stages: at once, or when what was lost is there again or will never be. */
  get whole(): Promise<boolean> {
    return this.#rebuilding ?? Promise.resolve(isOnPeers(this));
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
  async load(model: LoadedModel): Promise<void> {
    await this.#begin(async () => {
      this.#changed();
      await this.#loadStages(new Map(this.#stages.map((_, stage) => [stage, model])));
      if (this.#stages.length > 1) await this.#closeRing();
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

  /** Loads stages, each with what its peer is told of the model. */
  async #loadStages(models: ReadonlyMap<number, LoadedModel>): Promise<void> {
    const stages = [...models.keys()];
    {
      await using _reserved = await this.#reserve(stages);
      await Promise.all([...models].map(async ([stage, model]) => await this.#requestStage(stage, model)));
    }
    await Promise.all(stages.map(async (stage) => this.#isReady(stage, await this.#link(stage).ready)));
  }

  async #closeRing(): Promise<void> {
    this.#advance('connecting');
    await Promise.all(this.#stages.map(async (_, stage) => await this.#connectStage(stage)));
  }

  /** Loads what was lost anew where that can be done, else gives the deployment up. */
  #lost(reason: SkeinError): void {
    // A stage that goes while others are replaced is found when the ring is closed.
    if (this.#rebuilding !== undefined) return;
    if (this.#state !== 'ready' || this.#stages.length === 1) return this.fail(reason);
    this.#enter('connecting');
    const rebuilt = this.#rebuild(reason).then(
      () => true,
      (failure: unknown) => {
        this.fail(asSkeinError(failure));
        return false;
      },
    );
    this.#rebuilding = rebuilt.finally(() => (this.#rebuilding = undefined));
  }

  /** Finds out which stages are lost, loads them on other peers, and closes the ring anew. */
  async #rebuild(reason: SkeinError): Promise<void> {
    const { logger } = this.#components;
    const lost = await this.#partAll(new Set());
    logger.warn(
      { deployment: this.id, stages: [...lost], code: reason.code, reason: reason.message },
      'stages of a deployment are loaded anew, and the others stay',
    );
    const models = new Map<number, LoadedModel>();
    // Those that stay are told whose ring streams to take, and may turn out to be lost, too.
    for (let found = lost; found.size > 0; found = await this.#partAll(new Set(models.keys()))) {
      for (const stage of found) models.set(stage, await this.#replace(stage));
    }
    if (models.size > 0) await this.#loadStages(models);
    const breaks = this.#breaks;
    await this.#closeRing();
    const failed = [...this.#links.values()].find(({ failure }) => failure !== undefined)?.failure;
    if (failed !== undefined) throw failed;
    if (this.#breaks > breaks) throw new SkeinError('stage-lost', 'the ring was broken again while it was closed');
    this.#advance('ready');
    logger.info({ deployment: this.id, stages: [...models.keys()] }, 'a deployment has its lost stages again');
  }

  /**
   * Has all stages but those that are known to be lost let go of the ring. Returns those that turn out to be lost.
   *
   * @throws SkeinError `stale-lease` when another coordinator places; the first failure when all are lost
   */
  async #partAll(known: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const stages = this.#stages.flatMap((_, stage) => (known.has(stage) ? [] : stage));
    const failures: { readonly stage: number; readonly error: SkeinError }[] = [];
    const part = async (stage: number): Promise<void> => {
      await this.#part(stage).catch((error: unknown) => failures.push({ stage, error: asSkeinError(error) }));
    };
    await Promise.all(stages.map(part));
    const [first] = failures;
    const replaced = failures.find(({ error }) => error.code === 'stale-lease');
    if (replaced !== undefined) throw replaced.error;
    if (first !== undefined && known.size + failures.length === this.#stages.length) throw first.error;
    return new Set(failures.map(({ stage }) => stage));
  }

  /** Finds another place for a lost stage. */
  async #replace(stage: number): Promise<LoadedModel> {
    const { peer, machine, model } = await this.#options.replaceStage(stage, {
      isLeft: this.#link(stage).failure?.code === 'aborted',
      signal: this.#over.signal,
    });
    this.#machines[stage] = machine;
    const { block, plannedBytes, plannedDevices } = this.#stage(stage);
    const devices = plannedDevices && { plannedDevices };
    this.#stages[stage] = { peer, block, plannedBytes, ...devices, state: 'loading' };
    this.#changed();
    return model;
  }

  async #part(stage: number): Promise<void> {
    await this.#link(stage).part(this.#before(stage));
    this.#update(stage, { state: 'ready' });
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

  /** Has its lead, whose card shows a standby, take requests like any other. */
  serve(): void {
    if (this.#isToldToServe || this.#state !== 'ready') return;
    this.#isToldToServe = true;
    // A link that is lost fails the deployment, which says more.
    this.#link(0)
      .serve()
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
  async #reserve(stages: readonly number[]): Promise<AsyncDisposable> {
    const reservations = new AsyncDisposableStack();
    if (stages.length === 1) return reservations;
    const { mesh, lease } = this.#components;
    const { signal } = this.#over;
    const reserved = await Promise.allSettled(
      stages.map(async (stage) => {
        const { peer, plannedBytes } = this.#stage(stage);
        const place = { deployment: this.id, stage, bytes: plannedBytes, lease: lease?.() };
        reservations.use(await reserveStage(mesh, { peer, name: this.#machine(stage), place, signal }));
      }),
    );
    const refused = reserved.find((one) => one.status === 'rejected');
    if (refused === undefined) return reservations;
    await reservations.disposeAsync();
    throw refused.reason;
  }

  async #requestStage(stage: number, model: LoadedModel): Promise<void> {
    const { id, name, plan, spec } = this.#options;
    const { block } = this.#stage(stage);
    const stages = this.#stages.length;
    await this.#open(stage, {
      type: 'stage-load',
      deployment: id,
      manifest: model.manifest,
      name,
      stage,
      stages,
      block,
      ...(stages > 1 && { previous: this.#before(stage), rejoinMs }),
      sources: model.holders.slice(0, limits.maxStages),
      spec,
      graceMs,
      ...(stage === 0 && this.#options.isStandby?.() === true && { standby: true }),
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
      peer: this.#stage(stage).peer,
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
      onParted: () => {
        this.#breaks += 1;
        this.#lost(new SkeinError('stage-lost', 'the ring of a deployment was broken'));
      },
      onLost: (error) => this.#lost(error),
    });
    this.#links.set(stage, link);
    // It may have ended while the stream was being opened.
    if (this.#over.signal.aborted) await link.close();
    return link;
  }

  #isReady(stage: number, { backend, fetchedBytes, fileBytes, placement }: StageReady): void {
    this.#update(stage, { state: 'ready', backend, fetchedBytes, fileBytes, ...(placement && { placement }) });
  }

  #stage(stage: number): StageStatus {
    return invariant(this.#stages[stage], 'a deployment has a status for each stage');
  }

  /** Returns the peer of the stage before one on the ring. */
  #before(stage: number): string {
    return invariant(this.#stages.at(stage - 1), 'a ring has stages').peer;
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
    const name = this.#machines[stage];
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
