import { setTimeout as delay } from 'node:timers/promises';

import { untilAborted, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  deploymentSpec,
  invariant,
  isSkeinError,
  maxDeadAfterMs,
  onAbort,
  SkeinError,
  type DeploymentRequest,
  type DeploymentState,
  type DeploymentStatus,
  type DrainStatus,
  type Logger,
  type PlanAnswer,
  type PlanRequest,
} from '@skein/protocol';
import { stillComing } from '@skein/serving';

import type { ComingModel } from './coming-model.ts';
import type { Deployment, DeploymentComponents, DeploymentObserver } from './deployment.ts';
import { DeploymentJob } from './deployment-job.ts';
import { DesiredState, type DesiredDeployment, type Goal } from './desired-state.ts';
import { EndedDeployments } from './ended-deployments.ts';
import { FreshCards } from './fresh-cards.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import { PeerDrains, type DrainOptions } from './peer-drains.ts';
import { deploymentFor, reconcile, type Action, type Demand, type DemandFor, type Observed } from './reconcile.ts';
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
};

export interface DeployOptions {
  /**
   * Whether to add no replica where one of this coordinator's that is as asked serves or is about to. Default: no. The
   * signal ends the wait alone for one that was there.
   */
  readonly unlessServed?: boolean | undefined;
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
 * The replicas that this coordinator has put on peers. They live as long as it does: its streams hold them. A failed
 * one stays in the list, with its error, until its model is deployed anew.
 *
 * Callers change the desired state; whenever that or the mesh changes, {@link reconcile} decides the next steps, which
 * are taken here.
 */
export class Deployments {
  readonly #components: DeploymentsComponents;
  readonly #options: DeploymentsOptions;
  readonly #timeouts: DeploymentTimeouts;
  readonly #desired = new DesiredState();
  /** One for each desired deployment, by id. */
  readonly #jobs = new Map<string, DeploymentJob>();
  /** Deployments that are no longer desired, for cards that are a moment old. */
  readonly #ended: EndedDeployments;
  readonly #freshCards: FreshCards;
  readonly #drains: PeerDrains;
  readonly #stopped = new AbortController();
  #stopWatching: (() => void) | undefined;
  #isScheduled = false;

  constructor(components: DeploymentsComponents, options: DeploymentsOptions = {}) {
    this.#components = components;
    this.#options = options;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#ended = new EndedDeployments(components);
    this.#freshCards = new FreshCards(components, { timeoutMs: this.#timeouts.freshCardMs });
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

  /** Lists the deployments in the order in which they were started. */
  list(): readonly DeploymentStatus[] {
    return [...this.#jobs.values()].flatMap(({ deployment }) => deployment?.status() ?? []);
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
    return desired.goal === 'serve' && this.#jobs.get(id)?.deployment?.state === 'ready';
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
    const { unlessServed = false, signal = this.#stopped.signal, onProgress } = options;
    const { model: reference, ...asked } = request;
    const held = this.#find(reference);
    const { model } = held;
    const spec = deploymentSpec(asked, model);
    if (unlessServed) await this.#untilBegun(held, signal);
    const there = unlessServed ? this.#jobThere(this.#demand({ model, options: asked })) : undefined;
    if (there !== undefined) {
      using _observation = onProgress && there.observe(onProgress);
      return (await this.#shared(there, signal)).status();
    }
    const job = this.#want({ spec, isReplacement: false }, signal);
    if (onProgress !== undefined) job.observe(onProgress);
    const { coming } = this.#components;
    if (coming?.isAwaited(held) === true) coming.begin();
    return (await job.ready).status();
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
    const deployment = await this.#shared(this.#jobFor(held.model, failed), signal);
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
    if (job?.deployment === undefined) throw this.#notFound(id);
    using observation = new DisposableStack();
    if (onProgress !== undefined) observation.defer(job.deployment.observe(onProgress));
    this.#takeDown(id, now ? 'end' : 'drain');
    await job.gone;
    return job.deployment.status();
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

  /** Takes all deployments down, for good. Takes `closeMs` at most. */
  async stop(): Promise<void> {
    const reason = new SkeinError('not-running', 'the coordinator is stopping');
    this.#stopped.abort(reason);
    this.#stopWatching?.();
    const jobs = [...this.#jobs];
    for (const [id] of jobs) this.#cancel(id, reason);
    await Promise.all(jobs.map(async ([, { gone }]) => await gone));
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
  #want(deployment: Pick<DesiredDeployment, 'spec' | 'isReplacement'>, signal?: AbortSignal): DeploymentJob {
    this.#stopped.signal.throwIfAborted();
    const id = this.#components.newId();
    const components = { ...this.#components, freshCards: this.#freshCards };
    const job = new DeploymentJob(components, {
      id,
      model: deployment.spec.model,
      timeouts: this.#timeouts,
      onChange: () => this.#schedule(),
    });
    this.#desired.add({ ...deployment, id });
    this.#jobs.set(id, job);
    const abort = onAbort(signal, () => this.#cancel(id, asSkeinError(signal?.reason, 'aborted')));
    const forget = () => abort[Symbol.dispose]();
    job.ready.then(forget, forget);
    this.#stopWatching ??= this.#components.mesh.cards.onChange(() => this.#schedule());
    this.#schedule();
    return job;
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
    const { spec } = invariant(this.#desired.get(id), 'a deployment that is replaced is desired');
    const contextTokens = this.#jobs.get(id)?.deployment?.status().contextTokens;
    return this.#want({ spec: { ...spec, contextTokens }, isReplacement: true });
  }

  #demand(demand: DemandFor): Demand {
    return deploymentFor(demand, this.#desired.list(), this.#observe());
  }

  /** Returns the job of the deployment that answers a demand; undefined where one is to be added. */
  #jobThere(demand: Demand): DeploymentJob | undefined {
    return demand.type === 'use' ? this.#jobs.get(demand.id) : undefined;
  }

  /** Returns the job of a deployment that answers a request; begins one where there is none. */
  #jobFor(model: string, failed: readonly string[]): DeploymentJob {
    const demand = this.#demand({ model, failed });
    const lost = demand.type === 'add' ? demand.spec : undefined;
    const there = this.#jobThere(demand);
    if (there !== undefined) return there;
    return this.#want({ spec: lost ?? deploymentSpec({}, model), isReplacement: lost !== undefined });
  }

  async #shared(job: DeploymentJob, signal: AbortSignal): Promise<Deployment> {
    try {
      return await untilAborted(job.ready, signal);
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
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    switch (action.type) {
      case 'fetch':
        void job.fetch();
        break;
      case 'place':
        job.place(action.placement, cards);
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
