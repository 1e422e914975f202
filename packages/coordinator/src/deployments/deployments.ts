import { setTimeout as delay } from 'node:timers/promises';

import { untilAborted, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  deploymentSpec,
  fromWireError,
  invariant,
  isSkeinError,
  maxDeadAfterMs,
  methods,
  onAbort,
  SkeinError,
  type DeploymentRequest,
  type DeploymentState,
  type DeploymentStatus,
  type DrainStatus,
  type Logger,
  type PlanAnswer,
  type PlanRequest,
  type StageAttach,
  type StageCommand,
} from '@skein/protocol';
import { stillComing } from '@skein/serving';

import { schedule, type Schedule } from '../timers.ts';
import type { ComingModel } from './coming-model.ts';
import type { Deployment, DeploymentComponents, DeploymentObserver } from './deployment.ts';
import { DeploymentJob, type DeploymentJobOptions } from './deployment-job.ts';
import { forgetful, type DesiredStore } from './desired-file.ts';
import { DesiredState, type Goal, type Patience, type WantedDeployment } from './desired-state.ts';
import { EndedDeployments } from './ended-deployments.ts';
import { FreshCards } from './fresh-cards.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import { PeerDrains, type DrainOptions } from './peer-drains.ts';
import { deploymentFor, reconcile, type Action, type Demand, type DemandFor, type Observed } from './reconcile.ts';
import { machinesOf } from './retry.ts';
import type { StageTimeouts } from './stage-link.ts';
import { planWhatIf } from './what-if.ts';

export interface DeploymentsComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'freshCard' | 'open'>;
  readonly logger: Logger;
  readonly lease?: DeploymentComponents['lease'];
  readonly onReplaced?: DeploymentComponents['onReplaced'];
  /** Makes deployment ids: 8 to 64 of a-z, 0-9 and dash, unique in the mesh. */
  readonly newId: () => string;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** The model that this machine was started with, if any. */
  readonly coming?: ComingModel | undefined;
  /** Returns milliseconds of a clock that only goes forward. Default: this process's. */
  readonly elapsedMs?: (() => number) | undefined;
  /** Timers. Default: the machine's own. */
  readonly schedule?: Schedule | undefined;
  /** Keeps the desired state over restarts. Default: nothing does. */
  readonly store?: DesiredStore | undefined;
  /** Called when a deployment goes from one state to another. */
  readonly onTransition?: ((status: DeploymentStatus, before: DeploymentState) => void) | undefined;
}

export interface DeploymentsOptions {
  /**
   * Tokens of context for a deployment that does not ask for some; models trained for less get theirs. Default: as many
   * as the model was trained for, as far as memory allows.
   */
  readonly contextTokens?: number | undefined;
  readonly timeouts?: Partial<DeploymentTimeouts> | undefined;
}

/** Longest waits, in milliseconds. */
export interface DeploymentTimeouts extends StageTimeouts {
  /**
   * For the loss of a replica to be noticed after a request to it has failed. Default 11,000: the longest that a member may
   * be silent before it counts as lost, and the checks for that. Waited in full only for a replica that fails requests but
   * is not lost.
   */
  readonly lossNoticeMs: number;
  /**
   * For cards to show no more stages of replicas that are over, before a plan is made. Default 8,000: peers release
   * theirs within a moment, and a member that is gone leaves the cards after six seconds at most.
   */
  readonly releaseMs: number;
  /**
   * For the deployment of the coming model to begin, before requests for it are told to come again. Default 10,000: where
   * the model is held it begins within a moment, and getting it may take hours.
   */
  readonly comingMs: number;
  /**
   * For peers with GPUs to look at their memory, before a plan is made with what their last cards say. Default 5,000: a look
   * takes a process that loads the driver, a second or two.
   */
  readonly freshCardMs: number;
  /**
   * For cards to show a replica that serves, before another one hands its answers over to it. Default 2,000: cards travel
   * within a moment, and requests to this coordinator need none.
   */
  readonly shownMs: number;
  /**
   * For the peers of a deployment of an earlier coordinator to be seen, before it is placed anew. Default 30,000: members
   * that are there are met within moments, and dialled again twice by then.
   */
  readonly returnMs: number;
}

const defaultTimeouts: DeploymentTimeouts = {
  loadStallMs: 120_000,
  connectMs: 30_000,
  closeMs: 5000,
  lossNoticeMs: maxDeadAfterMs + 1000,
  releaseMs: 8000,
  comingMs: 10_000,
  freshCardMs: 5000,
  shownMs: 2000,
  returnMs: 30_000,
};

/** Pause between two attempts to release a stage that was left behind, in milliseconds. */
const releasePauseMs = 5000;

export interface DeployOptions {
  /**
   * Whether to add no replica where one of this coordinator's that is as asked serves or is about to. Default: no. The
   * signal ends the wait alone for one that was there.
   */
  readonly unlessServed?: boolean | undefined;
  /**
   * Whether it stays desired where it can't be placed yet, for want of machines, memory or the model, and is placed when
   * that has changed. The signal ends the wait alone then. Default: no.
   */
  readonly wait?: boolean | undefined;
  /** Takes the deployment down when it aborts, as long as it is not ready. */
  readonly signal?: AbortSignal | undefined;
  /** Called at every change; of a replica that was there, until it serves. */
  readonly onProgress?: DeploymentObserver | undefined;
}

export interface UndeployOptions {
  /** Whether to cut the answers that run instead of letting them end. Default false. */
  readonly now?: boolean | undefined;
  /** Called with the state at first and after every change. */
  readonly onProgress?: DeploymentObserver | undefined;
}

export interface EnsureOptions {
  /** Ends this call's wait only; loading goes on for later callers. */
  readonly signal: AbortSignal;
  /**
   * Ids of deployments that have just failed a request: none of them is taken. Those of ours are given time to be found
   * lost. Default: none.
   */
  readonly failed?: readonly string[] | undefined;
}

/** The target of a deployment's requests. */
export interface DeploymentRoute {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}

/**
 * The replicas that this coordinator has put on peers. They outlive it: the desired state is kept, and a coordinator that
 * starts with it takes over what still runs. A failed one that nobody waits for stays in the list, with its error, until
 * its model is deployed anew.
 *
 * Callers change the desired state; whenever that or the mesh changes, {@link reconcile} decides the next steps, which
 * are taken here.
 */
export class Deployments {
  readonly #components: DeploymentsComponents;
  readonly #options: DeploymentsOptions;
  readonly #timeouts: DeploymentTimeouts;
  readonly #desired: DesiredState;
  readonly #store: DesiredStore;
  /** One for each desired deployment, by id. */
  readonly #jobs = new Map<string, DeploymentJob>();
  /** Deployments that are no longer desired, for cards that are a moment old. */
  readonly #ended: EndedDeployments;
  readonly #freshCards: FreshCards;
  readonly #drains: PeerDrains;
  readonly #stopped = new AbortController();
  /** Stages that were left behind and are just being released. */
  readonly #releasing = new Set<string>();
  #stopWatching: (() => void) | undefined;
  #isScheduled = false;

  constructor(components: DeploymentsComponents, options: DeploymentsOptions = {}) {
    this.#components = components;
    this.#options = options;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#ended = new EndedDeployments(components);
    this.#freshCards = new FreshCards(components, { timeoutMs: this.#timeouts.freshCardMs });
    const { store = forgetful } = components;
    this.#store = store;
    this.#desired = new DesiredState(() => {
      if (!this.#stopped.signal.aborted) store.save(this.#desired.list());
    });
    this.#drains = new PeerDrains({
      mesh: components.mesh,
      logger: components.logger,
      shownMs: this.#timeouts.shownMs,
      lease: components.lease,
      deployments: {
        on: (peer) => this.#serving().filter((job) => hasStageOn(job, peer)),
        replace: (id) => this.#replace(id),
        takeDown: (id, goal) => this.#takeDown(id, goal),
        isServedBeside: (model, peer) =>
          this.#serving().some((job) => job.model === model && this.mayServe(job.id) && !hasStageOn(job, peer)),
      },
    });
  }

  /**
   * Takes up the deployments that were kept: those that still run go on, the others are placed anew.
   *
   * @throws SkeinError `disk-failed` when they can't be read
   */
  async start(): Promise<void> {
    for (const wanted of await this.#store.load()) this.#begin(wanted, { from: 'restored' });
  }

  /** Lists the deployments in the order in which they were started. */
  list(): readonly DeploymentStatus[] {
    return [...this.#jobs.values()].flatMap((job) => job.status() ?? []);
  }

  /** Returns the peer ids of the stages of a deployment of ours, in pipeline order; undefined for an unknown one. */
  peersOf(id: string): readonly string[] | undefined {
    return this.#jobs
      .get(id)
      ?.deployment?.status()
      .stages.map(({ peer }) => peer);
  }

  /** Tells whether a deployment may serve: false for one of ours that is not ready. Others' count as their cards say. */
  mayServe(id: string): boolean {
    if (this.#ended.has(id)) return false;
    const desired = this.#desired.get(id);
    if (desired === undefined) return true;
    return desired.goal === 'serve' && this.#jobs.get(id)?.mayServe === true;
  }

  /** Tells whether somebody took a deployment of ours down, within the last minute, and not to move it. */
  wasTakenDown(id: string): boolean {
    return this.#ended.wasTakenDown(id);
  }

  /**
   * Plans a deployment without making it, on the mesh as it is or as the request would change it. Where there is no plan
   * the answer says why.
   *
   * @throws SkeinError as {@link planWhatIf} does
   */
  async plan(request: PlanRequest, signal: AbortSignal): Promise<PlanAnswer> {
    const { mesh } = this.#components;
    const { contextTokens } = this.#options;
    const deployments = () => this.list();
    return await planWhatIf(request, { mesh, freshCards: this.#freshCards, deployments, contextTokens }, signal);
  }

  /**
   * Puts one more replica of a model on peers, where one is needed, and resolves when it serves.
   *
   * @throws SkeinError `model-not-found`, or `no-peers` while members are missing; those of planning (`no-peers`,
   * `does-not-fit`, `split-unsupported`); the failure of a stage; `peer-lost`, `deadline-exceeded`, `aborted`,
   * `not-running`
   */
  async deploy(request: DeploymentRequest, options: DeployOptions = {}): Promise<DeploymentStatus> {
    const { unlessServed = false, wait = false, signal = this.#stopped.signal, onProgress } = options;
    const { model: reference, ...asked } = request;
    const held = this.#find(reference);
    const { model, name } = held;
    const spec = deploymentSpec(asked, model);
    const { coming } = this.#components;
    const isComing = coming?.isAwaited(held) === true;
    // The deployment that others wait for waits for nobody.
    if (unlessServed && !(isComing && wait)) await this.#untilBegun(held, signal);
    const there = unlessServed ? this.#jobThere(this.#demand({ model, options: asked })) : undefined;
    const patience = wait ? 'passing' : 'none';
    const job = there ?? this.#want({ name, spec, patience }, wait ? undefined : signal);
    // A request may have made the one that is there.
    if (there !== undefined && wait) this.#ask(there.id, patience);
    if (isComing) coming?.begin();
    const isShared = there !== undefined || wait;
    const status = (await this.#followed(job, { isShared, signal, onProgress })).status();
    await this.#store.saved();
    return status;
  }

  /**
   * Returns a replica of the model that serves: one of ours that has not just failed, else a new one. A new one gets
   * the options of the replica that failed before it, as far as they are still possible, else the defaults. Concurrent
   * calls wait for the same one, and all wait for the deployment of the model that this machine was started with.
   *
   * @throws SkeinError as {@link deploy} does; `not-deployed` when somebody else cancelled the deployment; `no-peers`
   * while this machine still gets the model
   */
  async ensure(model: string, { signal, failed = [] }: EnsureOptions): Promise<DeploymentRoute> {
    const held = this.#find(model);
    await this.#untilBegun(held, signal);
    await untilAborted(Promise.all(failed.map(async (one) => await this.#untilNoticed(one))), signal);
    const deployment = await this.#shared(this.#jobFor(held, failed).settled(), signal);
    return { deployment: deployment.id, lead: deployment.lead };
  }

  /**
   * Takes a deployment down: it gets no more requests, and once those that run have ended its peers release it.
   * Resolves then, with its last state. One that does not serve, or is lost meanwhile, is taken down at once. Another
   * call waits for the same, or ends the wait with `now`.
   *
   * @throws SkeinError `not-found` for an unknown id
   */
  async undeploy(id: string, { now = false, onProgress }: UndeployOptions = {}): Promise<DeploymentStatus> {
    const job = this.#jobs.get(id);
    const status = job?.status();
    if (job === undefined || status === undefined) throw this.#notFound(id);
    using observation = new DisposableStack();
    if (onProgress !== undefined && job.deployment !== undefined) observation.defer(job.deployment.observe(onProgress));
    const goal = now ? 'end' : 'drain';
    const next = this.#desired.get(id)?.replacedBy;
    this.#takeDown(id, goal);
    // The one in place of a lost one is the same to whoever deployed it.
    if (next !== undefined) this.#takeDown(next, goal);
    await job.gone;
    await this.#store.saved();
    for (const one of this.#jobs.values()) one.retry();
    return job.deployment?.status() ?? { ...status, state: 'closed' };
  }

  /**
   * Drains a peer: it takes no more stages, and deployments with a stage there are replaced elsewhere, hand their answers
   * over, and are taken down. Resolves then.
   *
   * @throws SkeinError as {@link PeerDrains.drain} does
   */
  async drain(peer: string, options?: DrainOptions): Promise<DrainStatus> {
    return await this.#drains.drain(peer, options);
  }

  /**
   * Has a peer take stages again.
   *
   * @throws SkeinError as {@link PeerDrains.undrain} does
   */
  async undrain(peer: string): Promise<void> {
    await this.#drains.undrain(peer);
  }

  /** Lets go of all deployments, for good: peers keep those that serve for a while. Takes `closeMs` at most. */
  async stop(): Promise<void> {
    const reason = new SkeinError('not-running', 'the coordinator is stopping');
    this.#stopped.abort(reason);
    this.#stopWatching?.();
    await Promise.all([...this.#jobs.values()].map(async (job) => await job.leave(reason)));
    await this.#store.saved();
  }

  #find(reference: string): MeshModel {
    const { mesh, coming } = this.#components;
    return findHeldModel(mesh, reference, coming?.awaited);
  }

  /**
   * Waits for the deployment of the coming model to begin, where a request is for that.
   *
   * @throws SkeinError `no-peers` when that takes long
   */
  async #untilBegun(model: MeshModel, signal: AbortSignal): Promise<void> {
    const { coming } = this.#components;
    if (coming?.isAwaited(model) !== true) return;
    const late = delay(this.#timeouts.comingMs, 'late' as const, { ref: false });
    if ((await untilAborted(Promise.race([coming.begun, late]), signal)) === 'late') throw stillComing(model.name);
  }

  /** Adds a deployment to the desired state. Aborting the signal takes it down, as long as it is not ready. */
  #want(deployment: Omit<WantedDeployment, 'id'>, signal?: AbortSignal): DeploymentJob {
    this.#stopped.signal.throwIfAborted();
    const id = this.#components.newId();
    const job = this.#begin({ ...deployment, id });
    const abort = onAbort(signal, () => this.#cancel(id, asSkeinError(signal?.reason, 'aborted')));
    const forget = () => abort[Symbol.dispose]();
    job.ready.then(forget, forget);
    return job;
  }

  #begin(wanted: WantedDeployment, options: Pick<DeploymentJobOptions, 'from' | 'failures'> = {}): DeploymentJob {
    const { id, name, spec } = wanted;
    const { elapsedMs = () => performance.now(), schedule: timers = schedule } = this.#components;
    const components = { ...this.#components, elapsedMs, schedule: timers, freshCards: this.#freshCards };
    const job = new DeploymentJob(components, {
      ...options,
      id,
      name,
      spec,
      timeouts: this.#timeouts,
      onChange: () => this.#schedule(),
    });
    this.#desired.add(wanted);
    this.#jobs.set(id, job);
    job.ready.then(
      (deployment) => this.#serves(deployment),
      () => undefined,
    );
    this.#stopWatching ??= this.#components.mesh.cards.onChange(() => this.#schedule());
    this.#schedule();
    return job;
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

  /** Notes that somebody asks for a deployment that is there, for good. */
  #ask(id: string, patience: Patience): void {
    const desired = this.#desired.get(id);
    if (desired === undefined) return;
    const hasServed = desired.placement !== undefined;
    this.#desired.update(id, { isOnDemand: false, patience: hasServed ? 'all' : patience });
  }

  /** Begins another deployment in place of one that was lost. */
  #replaceLost(id: string): void {
    const lost = this.#desired.get(id);
    const job = this.#jobs.get(id);
    if (lost === undefined || job === undefined) return;
    const next = this.#components.newId();
    const hasServed = lost.placement !== undefined;
    const { failures } = job;
    this.#desired.update(id, { replacedBy: next });
    const isReplacement = hasServed || lost.isReplacement;
    const wanted = { ...lost, id: next, isReplacement, placement: undefined };
    const another = this.#begin(wanted, { failures: failures > 1 ? failures - 1 : failures });
    const { error } = job.status() ?? {};
    if (failures > 1 && error !== undefined) another.wait(fromWireError(error), machinesOf(this.#observe().cards));
  }

  #cancel(id: string, reason: SkeinError): void {
    this.#jobs.get(id)?.cancel(reason);
    this.#takeDown(id, 'end');
  }

  #takeDown(id: string, goal: Exclude<Goal, 'serve'>): void {
    this.#desired.takeDown(id, goal);
    this.#schedule();
  }

  /** Lists the jobs of deployments that are to serve and are on peers. */
  #serving(): readonly DeploymentJob[] {
    const ids = this.#desired.list().filter(({ goal }) => goal === 'serve');
    return ids.flatMap(({ id }) => this.#jobs.get(id) ?? []).filter(({ deployment }) => isOnPeers(deployment));
  }

  /** Adds a deployment like another one, with the context that this one has come to have. */
  #replace(id: string): DeploymentJob {
    const { name, spec, isOnDemand } = invariant(this.#desired.get(id), 'a deployment that is replaced is desired');
    const contextTokens = this.#jobs.get(id)?.deployment?.status().contextTokens;
    return this.#want({ name, spec: { ...spec, contextTokens }, isReplacement: true, isOnDemand });
  }

  #demand(demand: DemandFor): Demand {
    return deploymentFor(demand, this.#desired.list(), this.#observe());
  }

  /** Returns the job of the deployment that answers a demand; undefined where one is to be added. */
  #jobThere(demand: Demand): DeploymentJob | undefined {
    return demand.type === 'use' ? this.#jobs.get(demand.id) : undefined;
  }

  /** Returns the job of a deployment that answers a request; begins one where there is none. */
  #jobFor({ model, name }: MeshModel, failed: readonly string[]): DeploymentJob {
    const demand = this.#demand({ model, failed });
    const lost = demand.type === 'add' ? demand.spec : undefined;
    const there = this.#jobThere(demand);
    if (there !== undefined) return there;
    const spec = lost ?? deploymentSpec({}, model);
    return this.#want({ name, spec, isReplacement: lost !== undefined, isOnDemand: true });
  }

  /** Waits for a deployment, and for those that take its place, until one serves. */
  async #followed(
    job: DeploymentJob,
    { isShared, signal, onProgress }: DeployOptions & { readonly isShared: boolean; readonly signal: AbortSignal },
  ): Promise<Deployment> {
    for (let current = job; ;) {
      using _observation = onProgress && current.observe(onProgress);
      try {
        return isShared ? await this.#shared(current.ready, signal) : await current.ready;
      } catch (error) {
        const next = this.#jobs.get(this.#desired.get(current.id)?.replacedBy ?? '');
        if (!isShared || signal.aborted || next === undefined) throw error;
        current = next;
      }
    }
  }

  async #shared(ready: Promise<Deployment>, signal: AbortSignal): Promise<Deployment> {
    try {
      return await untilAborted(ready, signal);
    } catch (error) {
      if (signal.aborted || !isSkeinError(error) || error.code !== 'aborted') throw error;
      // Someone else's doing: this caller cancelled nothing.
      throw new SkeinError('not-deployed', 'the deployment was cancelled while it loaded; try again', { cause: error });
    }
  }

  #notFound(id: string): SkeinError {
    const shown = id.slice(0, 100);
    const stages = this.#components.mesh.cards.snapshot().flatMap((card) => card.stages);
    if (stages.some((stage) => stage.deployment === id) && !this.#ended.has(id)) {
      const message = `another coordinator made the deployment ${shown}; run \`skein undeploy\` on its machine`;
      return new SkeinError('not-found', message);
    }
    return new SkeinError('not-found', `there is no deployment ${shown}; see \`skein status\``);
  }

  /** Waits for the end of a deployment that a request has found lost; resolves early when it is not ours or over. */
  async #untilNoticed(id: string): Promise<void> {
    const deployment = this.#jobs.get(id)?.deployment;
    if (deployment?.state === 'ready') {
      await Promise.race([deployment.over, delay(this.#timeouts.lossNoticeMs, undefined, { ref: false })]);
    }
  }

  /** Schedules a reconciliation of the desired state with the mesh, after all events of this turn. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.#stopped.signal.aborted) return;
      const observed = this.#observe();
      for (const action of reconcile(this.#desired.list(), observed, this.#options)) this.#do(action, observed);
    });
  }

  #observe(): Observed {
    const progress = new Map([...this.#jobs].map(([id, job]) => [id, job.progress]));
    return { cards: this.#components.mesh.cards.snapshot(), progress, ended: this.#ended };
  }

  #do(action: Action, { cards }: Observed): void {
    const { id } = action;
    if (action.type === 'release') return void this.#release(action);
    const job = this.#jobs.get(id);
    if (job === undefined) return;
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
        this.#replaceLost(id);
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
        this.#remove(id, { wasTakenDown: this.#desired.get(id)?.goal !== 'hand-over' });
        void job.close();
        break;
      case 'remove':
        this.#remove(id);
        break;
    }
  }

  /** Unloads a stage that was left with its peer. Tries that once in a while, and never throws. */
  async #release({ id, peer, stage }: Extract<Action, { type: 'release' }>): Promise<void> {
    const key = `${id}/${stage}`;
    if (this.#releasing.has(key)) return;
    this.#releasing.add(key);
    const { logger, mesh, schedule: timers = schedule } = this.#components;
    timers(releasePauseMs, () => this.#releasing.delete(key));
    try {
      const stream = await mesh.open(peer, methods.stage, { signal: this.#stopped.signal });
      const { closeMs: timeoutMs } = this.#timeouts;
      const lease = this.#components.lease?.();
      const attach: StageAttach = {
        type: 'stage-attach',
        deployment: id,
        stage,
        ...(lease !== undefined && { lease }),
      };
      await stream.write(attach);
      await stream.write({ type: 'stage-unload' } satisfies StageCommand);
      await stream.end({ timeoutMs });
    } catch (error) {
      logger.debug({ error, deployment: id, stage, peer }, 'a stage that was left behind is not released yet');
    }
  }

  #remove(id: string, { wasTakenDown = false } = {}): void {
    // Cards may show the stages of one that was placed for a while yet.
    if (this.#jobs.get(id)?.deployment !== undefined) this.#ended.add(id, { wasTakenDown });
    this.#jobs.delete(id);
    this.#desired.remove(id);
  }
}

function hasStageOn({ deployment }: DeploymentJob, peer: string): boolean {
  return deployment?.status().stages.some((stage) => stage.peer === peer) === true;
}

function isOnPeers(deployment: Deployment | undefined): boolean {
  return deployment !== undefined && deployment.state !== 'failed' && deployment.state !== 'closed';
}
