import type { Mesh } from '@skein/mesh';
import {
  asSkeinError,
  fromWireError,
  invariant,
  onAbort,
  type AdmissionStatus,
  type DeploymentState,
  type DeploymentStatus,
  type Logger,
  type SkeinError,
} from '@skein/protocol';

import type { PlacedStage } from '../planner/index.ts';
import type { Schedule } from '../timers.ts';
import { isOnPeers, type Deployment, type DeploymentComponents } from './deployment.ts';
import { DeploymentJob, type DeploymentJobOptions } from './deployment-job.ts';
import type { DeploymentTimeouts } from './deployment-timeouts.ts';
import { DemandHistory, loadsOf } from './demand.ts';
import type { DesiredStore } from './desired-file.ts';
import {
  DesiredState,
  type DesiredDeployment,
  type Goal,
  type Patience,
  type WantedDeployment,
} from './desired-state.ts';
import { EndedDeployments } from './ended-deployments.ts';
import { evictedFor } from './eviction.ts';
import type { FreshCards } from './fresh-cards.ts';
import { LeftStages } from './left-stages.ts';
import { placedStages } from './placement.ts';
import {
  closedPeers,
  deploymentFor,
  reconcile,
  type Action,
  type Demand,
  type DemandFor,
  type Observed,
} from './reconcile.ts';
import { machinesOf } from './retry.ts';
import type { ModelScaling } from './scaling.ts';

export interface ReconcilerComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly freshCards: FreshCards;
  readonly logger: Logger;
  /** Tells the requests that pass here, by model. */
  readonly admission: () => readonly AdmissionStatus[];
  readonly lease?: DeploymentComponents['lease'];
  readonly onReplaced?: DeploymentComponents['onReplaced'];
  /** Makes deployment ids: 8 to 64 of a-z, 0-9 and dash, unique in the mesh. */
  readonly newId: () => string;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Returns milliseconds of a clock that only goes forward. */
  readonly elapsedMs: () => number;
  readonly schedule: Schedule;
  /** Keeps the desired state over restarts. */
  readonly store: DesiredStore;
  /** Called when a deployment goes from one state to another. */
  readonly onTransition?: ((status: DeploymentStatus, before: DeploymentState) => void) | undefined;
}

export interface ReconcilerOptions {
  /** Most tokens of a context that a spec leaves out. Default: as many as fit. */
  readonly contextTokens?: number | undefined;
  readonly timeouts: DeploymentTimeouts;
}

/** Time between two looks at the demand while it decides about replicas, in milliseconds. */
const lookMs = 1000;

/**
 * The owner of the desired state, and of the work on it: whenever that state, the mesh or the demand changes, {@link reconcile} decides
 * the next steps, which are taken here.
 */
export class Reconciler {
  readonly #components: ReconcilerComponents;
  readonly #options: ReconcilerOptions;
  readonly #desired: DesiredState;
  /** One for each desired deployment, by id. */
  readonly #jobs = new Map<string, DeploymentJob>();
  /** Deployments that are no longer desired, for cards that are a moment old. */
  readonly #ended: EndedDeployments;
  readonly #leftStages: LeftStages;
  readonly #stopped = new AbortController();
  readonly #history = new DemandHistory();
  /** Number of callers that wait for a first replica, by model. */
  readonly #asking = new Map<string, number>();
  /** The moment at which demand last asked for one more replica, by model. */
  readonly #addedAtMs = new Map<string, number>();
  #nextLook: Disposable | undefined;
  #stopWatching: (() => void) | undefined;
  #isScheduled = false;

  constructor(components: ReconcilerComponents, options: ReconcilerOptions) {
    this.#components = components;
    this.#options = options;
    this.#ended = new EndedDeployments(components);
    const { closeMs } = options.timeouts;
    this.#leftStages = new LeftStages(components, { closeMs, signal: this.#stopped.signal });
    this.#desired = new DesiredState(() => {
      if (this.#stopped.signal.aborted) return;
      components.store.save({ deployments: this.#desired.list(), scaling: this.#desired.scaling() });
    });
  }

  /**
   * Takes up the deployments that were kept: those that still run go on, the others are placed anew.
   *
   * @throws SkeinError `disk-failed` when they can't be read
   */
  async start(): Promise<void> {
    const { deployments, scaling } = await this.#components.store.load();
    for (const terms of scaling) this.#desired.setScaling(terms.spec.model, terms);
    for (const wanted of deployments) this.#begin(wanted, { from: 'restored' });
    this.#schedule();
  }

  /** Lets go of all deployments, for good: peers keep those that serve for a while. Takes `closeMs` at most. */
  async stop(reason: SkeinError): Promise<void> {
    this.#stopped.abort(reason);
    this.#stopWatching?.();
    this.#nextLook?.[Symbol.dispose]();
    await Promise.all([...this.#jobs.values()].map(async (job) => await job.leave(reason)));
    await this.#components.store.saved();
  }

  /** Resolves when the desired state is on the disk, or could not be written. */
  async saved(): Promise<void> {
    await this.#components.store.saved();
  }

  /** Lists the jobs of all desired deployments, in the order in which those were asked for. */
  jobs(): readonly DeploymentJob[] {
    return [...this.#jobs.values()];
  }

  /** Lists the jobs of deployments that are to serve and are on peers. */
  serving(): readonly DeploymentJob[] {
    const ids = this.#desired.list().filter(({ goal }) => goal === 'serve');
    const jobs = ids.flatMap(({ id }) => this.#jobs.get(id) ?? []);
    return jobs.filter(({ deployment }) => deployment !== undefined && isOnPeers(deployment));
  }

  /** Returns the job of a desired deployment; undefined for an unknown one. */
  job(id: string): DeploymentJob | undefined {
    return this.#jobs.get(id);
  }

  /** Returns the job of the deployment that takes the place of a lost one; undefined where there is none. */
  successorOf(id: string): DeploymentJob | undefined {
    return this.#jobs.get(this.#desired.get(id)?.replacedBy ?? '');
  }

  /** Tells whether a deployment may serve: false for one of ours that is not ready. Others' count as their cards say. */
  mayServe(id: string): boolean {
    if (this.#ended.has(id)) return false;
    const desired = this.#desired.get(id);
    if (desired === undefined) return true;
    return desired.goal === 'serve' && this.#jobs.get(id)?.mayServe === true;
  }

  /** Tells whether a deployment is no longer desired, and cards may still show it. */
  hasEnded(id: string): boolean {
    return this.#ended.has(id);
  }

  /** Tells whether somebody took a deployment of ours down, within the last minute, and not to move it. */
  wasTakenDown(id: string): boolean {
    return this.#ended.wasTakenDown(id);
  }

  /** Adds a deployment to the desired state. Aborting the signal takes it down, as long as it is not ready. */
  want(deployment: Omit<WantedDeployment, 'id'>, signal?: AbortSignal): DeploymentJob {
    this.#stopped.signal.throwIfAborted();
    const id = this.#components.newId();
    const job = this.#begin({ ...deployment, id });
    const abort = onAbort(signal, () => this.#cancel(id, asSkeinError(signal?.reason, 'aborted')));
    const forget = () => abort[Symbol.dispose]();
    job.ready.then(forget, forget);
    return job;
  }

  /** Adds a deployment like another one, with the context that this one has come to have. */
  wantLike(id: string, change: Pick<WantedDeployment, 'avoid' | 'patience'> = {}): DeploymentJob {
    const like = invariant(this.#desired.get(id), 'a deployment that is replaced is desired');
    const { name, spec, isOnDemand, isStandby } = like;
    const contextTokens = this.#jobs.get(id)?.deployment?.status().contextTokens;
    return this.want({ name, spec: { ...spec, contextTokens }, isReplacement: true, isOnDemand, isStandby, ...change });
  }

  /**
   * Takes a deployment whose answers are wrong down, once those that run have ended, and wants another one on other
   * machines. One that a request has made is not replaced: the next request does that, if no other replica serves.
   */
  replaceWrong(id: string, avoid: readonly string[]): void {
    const wrong = this.#desired.get(id);
    if (wrong?.goal !== 'serve') return;
    // It waits where there is no room: whoever asked for it finds the reason in the status.
    if (!wrong.isOnDemand) this.wantLike(id, { avoid, patience: 'all' }).ready.catch(() => undefined);
    this.takeDown(id, 'drain');
  }

  /** Chooses the deployment that answers a demand. */
  deploymentFor(demand: DemandFor): Demand {
    return deploymentFor(demand, this.#desired.list(), this.#observe());
  }

  /** Returns the terms of a model; undefined where its replicas come and go by hand alone. */
  scalingOf(model: string): ModelScaling | undefined {
    return this.#desired.scalingOf(model);
  }

  /** Lists the terms of all models that have some. */
  scaling(): readonly ModelScaling[] {
    return this.#desired.scaling();
  }

  /** Sets the terms of a model; undefined ends those that it has. */
  setScaling(model: string, scaling: ModelScaling | undefined): void {
    this.#stopped.signal.throwIfAborted();
    this.#desired.setScaling(model, scaling);
    this.#schedule();
  }

  /** Lists the jobs of a model's deployments that are to serve, without standbys and those that are lost and replaced. */
  replicasOf(model: string): readonly DeploymentJob[] {
    return this.#jobsOf(model, { isStandby: false });
  }

  /** Lists the jobs of a model's standbys. */
  standbysOf(model: string): readonly DeploymentJob[] {
    return this.#jobsOf(model, { isStandby: true });
  }

  isStandby(id: string): boolean {
    return this.#desired.get(id)?.isStandby === true;
  }

  #jobsOf(model: string, { isStandby }: { readonly isStandby: boolean }): readonly DeploymentJob[] {
    const those = this.#desired
      .list()
      .filter((one) => one.spec.model === model && one.goal === 'serve' && one.replacedBy === undefined);
    return those.filter((one) => (one.isStandby === true) === isStandby).flatMap(({ id }) => this.#jobs.get(id) ?? []);
  }

  /** Notes a request for a model. */
  uses(model: string): void {
    this.#history.use(model, this.#components.elapsedMs());
  }

  /** Notes that a caller waits for a first replica of a model, until the result is disposed of. */
  asks(model: string): Disposable {
    const change = (by: number) => {
      const count = (this.#asking.get(model) ?? 0) + by;
      if (count === 0) this.#asking.delete(model);
      else this.#asking.set(model, count);
    };
    change(1);
    return { [Symbol.dispose]: () => change(-1) };
  }

  /** Notes that somebody asks for a deployment that is there, for good. */
  ask(id: string, patience: Patience): void {
    const desired = this.#desired.get(id);
    if (desired === undefined) return;
    const hasServed = desired.placement !== undefined;
    this.#desired.update(id, { isOnDemand: false, patience: hasServed ? 'all' : patience });
  }

  /** Marks a deployment for its end. */
  takeDown(id: string, goal: Exclude<Goal, 'serve'>): void {
    this.#desired.takeDown(id, goal);
    this.#schedule();
  }

  #begin(wanted: WantedDeployment, options: Pick<DeploymentJobOptions, 'from' | 'failures'> = {}): DeploymentJob {
    const { id, name, spec } = wanted;
    const job = new DeploymentJob(this.#components, {
      ...options,
      id,
      name,
      spec,
      timeouts: this.#options.timeouts,
      isStandby: () => this.isStandby(id),
      placed: () => this.#placed(),
      closedPeers: () => this.#closedPeers(id),
      onChange: () => this.#schedule(),
      onServing: (deployment) => this.#serves(deployment),
    });
    this.#desired.add(wanted);
    this.#jobs.set(id, job);
    this.#stopWatching ??= this.#components.mesh.cards.onChange(() => this.#schedule());
    this.#schedule();
    return job;
  }

  #placed(): readonly PlacedStage[] {
    return placedStages(this.jobs().flatMap((one) => one.status() ?? []));
  }

  /** Lists the peers that get no stage of a deployment. */
  #closedPeers(id: string): readonly string[] {
    const deployment = this.#desired.get(id);
    if (deployment === undefined) return [];
    const observed = this.#observe();
    return closedPeers(deployment, { desired: this.#desired.list(), observed, placed: this.#placed() });
  }

  /** Notes that a deployment serves: from now on it is placed again when it is lost, if somebody asked for it. */
  #serves(deployment: Deployment): void {
    const { id } = deployment;
    const isOnDemand = this.#desired.get(id)?.isOnDemand === true;
    this.#desired.update(id, {
      placement: deployment.placement,
      patience: isOnDemand ? 'none' : 'all',
    });
  }

  /** Begins another deployment in place of one that was lost. */
  #replaceLost(lost: DesiredDeployment, job: DeploymentJob): void {
    const { failures } = job;
    const next = this.#components.newId();
    const hasServed = lost.placement !== undefined;
    this.#desired.update(lost.id, { replacedBy: next });
    const isReplacement = hasServed || lost.isReplacement;
    const wanted = { ...lost, id: next, isReplacement, placement: undefined };
    const another = this.#begin(wanted, { failures: failures > 1 ? failures - 1 : failures });
    const { error } = job.status() ?? {};
    if (failures > 1 && error !== undefined) another.wait(fromWireError(error), machinesOf(this.#observe().cards));
  }

  #cancel(id: string, reason: SkeinError): void {
    this.#jobs.get(id)?.cancel(reason);
    this.takeDown(id, 'end');
  }

  /** Schedules a reconciliation of the desired state with the mesh, after all events of this turn. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.#stopped.signal.aborted) return;
      const observed = this.#observe();
      const { contextTokens } = this.#options;
      const options = { contextTokens, scaling: this.#desired.scaling() };
      for (const action of reconcile(this.#desired.list(), observed, options)) this.#do(action, observed);
      this.#lookAgain();
    });
  }

  #observe(): Observed {
    const { mesh, admission, elapsedMs } = this.#components;
    const progress = new Map([...this.#jobs].map(([id, job]) => [id, job.progress]));
    const cards = mesh.cards.snapshot();
    const nowMs = elapsedMs();
    const models = new Set([...this.#desired.list(), ...this.#desired.scaling()].map(({ spec }) => spec.model));
    const demand = this.#history.observe(loadsOf(cards, admission(), this.#asking), models, nowMs);
    return { cards, progress, ended: this.#ended, nowMs, demand, addedAtMs: this.#addedAtMs };
  }

  /** Looks again in a second where time or demand alone may change something: no event tells of those. */
  #lookAgain(): void {
    const isHeld = () => [...this.#jobs.values()].some(({ progress }) => progress.step === 'fetched');
    const isByDemand = this.#desired.scaling().some(({ idleMs }) => idleMs !== undefined);
    if (this.#nextLook !== undefined || !(isByDemand || isHeld())) return;
    this.#nextLook = this.#components.schedule(lookMs, () => {
      this.#nextLook = undefined;
      this.#schedule();
    });
  }

  /** Takes a deployment down to make room for another. One that somebody asked for comes back when there is room. */
  #evict(evicted: DesiredDeployment, forWhom: DesiredDeployment): void {
    const { id, spec, name } = evicted;
    this.#components.logger.info({ deployment: id, model: name, for: forWhom.name }, 'a deployment makes room');
    this.#desired.update(forWhom.id, { evicted: [...(this.#desired.get(forWhom.id)?.evicted ?? []), id] });
    this.takeDown(id, 'drain');
    const hasRange = this.#desired.scalingOf(spec.model)?.replicas !== undefined;
    if (evicted.isOnDemand || evicted.isStandby === true || hasRange) return;
    const back = this.#begin({ ...evicted, id: this.#components.newId(), placement: undefined, evicted: [] });
    back.wait(evictedFor(forWhom.name), machinesOf(this.#components.mesh.cards.snapshot()));
  }

  /** Adds a replica by the terms of its model. */
  #scaleUp({ name, spec }: ModelScaling, { isExtra }: { readonly isExtra: boolean }): void {
    if (isExtra) this.#addedAtMs.set(spec.model, this.#components.elapsedMs());
    this.want({ name, spec, isOnDemand: isExtra, patience: isExtra ? 'none' : 'all' });
  }

  /** Makes a standby serve like any other replica, in place of one that can't be placed where there is such a one. */
  #promote(standby: DesiredDeployment, insteadOf: DesiredDeployment | undefined): void {
    const { id, name } = standby;
    this.#components.logger.info({ deployment: id, model: name, insteadOf: insteadOf?.id }, 'a standby serves');
    const { isOnDemand } = insteadOf ?? { isOnDemand: true };
    this.#desired.update(id, { isStandby: false, isOnDemand, patience: isOnDemand ? 'none' : 'all' });
    if (insteadOf !== undefined) this.#yield(insteadOf.id, id);
    this.#schedule();
  }

  /** Takes a deployment that is not placed off the list, in whose place another one serves. */
  #yield(id: string, to: string): void {
    const job = this.#jobs.get(id);
    const other = this.#jobs.get(to)?.deployment;
    for (const lost of this.#desired.list()) {
      if (lost.replacedBy === id) this.#desired.update(lost.id, { replacedBy: to });
    }
    this.#remove(id);
    if (other !== undefined) job?.yieldTo(other);
  }

  #do(action: Action, { cards }: Observed): void {
    const { id } = action;
    if (action.type === 'add') return this.#scaleUp(action.scaling, action);
    if (action.type === 'add-standby') {
      const { name, spec } = action.scaling;
      return void this.want({ name, spec, isStandby: true, patience: 'all' });
    }
    if (action.type === 'release') return void this.#leftStages.release(action);
    const job = this.#jobs.get(id);
    const desired = this.#desired.get(id);
    if (job === undefined || desired === undefined) return;
    switch (action.type) {
      case 'fetch':
        void job.fetch();
        break;
      case 'place':
        job.place(action.placement, cards);
        break;
      case 'adopt':
        job.adopt(action.placement, cards);
        break;
      case 'wait':
        job.wait(action.error, machinesOf(cards));
        break;
      case 'retry':
        job.retry();
        break;
      case 'replace':
        this.#replaceLost(desired, job);
        break;
      case 'drain':
      case 'hand-over':
        job.drain({ handOver: action.type === 'hand-over' });
        break;
      case 'refuse':
        this.#remove(id);
        job.refuse(action.error);
        break;
      case 'close':
        // Answers that were handed over are to go on.
        this.#remove(id, { wasTakenDown: desired.goal !== 'hand-over' });
        void job.close();
        break;
      case 'evict': {
        const forWhom = this.#desired.get(action.for);
        if (forWhom !== undefined) this.#evict(desired, forWhom);
        break;
      }
      case 'scale-down':
        this.takeDown(id, 'drain');
        break;
      case 'promote':
        this.#promote(desired, this.#desired.get(action.insteadOf ?? ''));
        break;
      case 'serve':
        job.deployment?.serve();
        break;
      case 'remove':
        this.#remove(id);
        break;
    }
  }

  #remove(id: string, { wasTakenDown = false } = {}): void {
    // Cards may show the stages of one that was placed for a while yet.
    if (this.#jobs.get(id)?.deployment !== undefined) this.#ended.add(id, { wasTakenDown });
    this.#jobs.delete(id);
    this.#desired.remove(id);
  }
}
