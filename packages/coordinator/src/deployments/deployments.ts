import { setTimeout as delay } from 'node:timers/promises';

import { untilAborted, type Mesh } from '@skein/mesh';
import {
  deploymentSpec,
  isSkeinError,
  SkeinError,
  scalingOf,
  type AdmissionStatus,
  type DeploymentRequest,
  type DeploymentState,
  type DeploymentStatus,
  type DrainStatus,
  type Logger,
  type PlanAnswer,
  type PlanRequest,
  type ScalingRequest,
} from '@skein/protocol';
import { stillComing } from '@skein/serving';

import { schedule, type Schedule } from '../timers.ts';
import type { ComingModel } from './coming-model.ts';
import type { Deployment, DeploymentComponents, DeploymentObserver } from './deployment.ts';
import type { DeploymentJob } from './deployment-job.ts';
import { defaultTimeouts, type DeploymentTimeouts } from './deployment-timeouts.ts';
import { forgetful, type DesiredStore } from './desired-file.ts';
import { FreshCards } from './fresh-cards.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import { atMostOne, statusOfUnloaded, withOneMore, withReplicasLeft, withStandbys, withTerms } from './model-terms.ts';
import { PeerDrains, type DrainOptions } from './peer-drains.ts';
import type { Demand } from './reconcile.ts';
import { Reconciler } from './reconciler.ts';
import { planWhatIf } from './what-if.ts';

export interface DeploymentsComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'freshCard' | 'open'>;
  readonly logger: Logger;
  /** Tells the requests that pass here, by model. Default: only those that replicas show are known. */
  readonly admission?: (() => readonly AdmissionStatus[]) | undefined;
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

/** Longest wait for another loss of a deployment that has just got its lost stages again, in milliseconds. */
const rebuiltNoticeMs = 1000;

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
  /**
   * Terms by which the model's replicas come and go from now on, instead of earlier ones. With a number of replicas or
   * standbys it adds none where one that is as asked serves or is about to. Default: one more replica for good, and no change of terms.
   */
  readonly scaling?: ScalingRequest | undefined;
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
 * Callers change the desired state, and the {@link Reconciler} brings the mesh to it.
 */
export class Deployments {
  readonly #components: DeploymentsComponents;
  readonly #options: DeploymentsOptions;
  readonly #timeouts: DeploymentTimeouts;
  readonly #reconciler: Reconciler;
  readonly #freshCards: FreshCards;
  readonly #drains: PeerDrains;
  readonly #stopped = new AbortController();

  constructor(components: DeploymentsComponents, options: DeploymentsOptions = {}) {
    this.#components = components;
    this.#options = options;
    const timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#timeouts = timeouts;
    this.#freshCards = new FreshCards(components, { timeoutMs: timeouts.freshCardMs });
    const reconciler = new Reconciler(
      {
        ...components,
        elapsedMs: components.elapsedMs ?? (() => performance.now()),
        schedule: components.schedule ?? schedule,
        store: components.store ?? forgetful,
        admission: components.admission ?? (() => []),
        freshCards: this.#freshCards,
      },
      { contextTokens: options.contextTokens, timeouts },
    );
    this.#reconciler = reconciler;
    this.#drains = new PeerDrains({
      mesh: components.mesh,
      logger: components.logger,
      shownMs: timeouts.shownMs,
      lease: components.lease,
      deployments: {
        on: (peer) => reconciler.serving().filter((job) => hasStageOn(job, peer)),
        replace: (id) => reconciler.wantLike(id),
        takeDown: (id, goal) => reconciler.takeDown(id, goal),
        isServedBeside: (model, peer) =>
          reconciler
            .serving()
            .some((job) => job.model === model && reconciler.mayServe(job.id) && !hasStageOn(job, peer)),
      },
    });
  }

  /**
   * Takes up the deployments that were kept: those that still run go on, the others are placed anew.
   *
   * @throws SkeinError `disk-failed` when they can't be read
   */
  async start(): Promise<void> {
    await this.#reconciler.start();
  }

  /** Lists the deployments in the order in which they were started. */
  list(): readonly DeploymentStatus[] {
    const statuses = this.#reconciler.jobs().flatMap((job) => job.status() ?? []);
    const unloaded = this.#reconciler
      .scaling()
      .filter(({ spec }) => this.#reconciler.replicasOf(spec.model).length === 0)
      .map((terms) => statusOfUnloaded(terms, this.#components.now()));
    return [...statuses, ...unloaded].map((status) => this.#withScaling(status));
  }

  /** Returns the peer ids of the stages of a deployment of ours, in pipeline order; undefined for an unknown one. */
  peersOf(id: string): readonly string[] | undefined {
    return this.#reconciler
      .job(id)
      ?.deployment?.status()
      .stages.map(({ peer }) => peer);
  }

  /** Tells whether a deployment may serve: false for one of ours that is not ready. Others' count as their cards say. */
  mayServe(id: string): boolean {
    return this.#reconciler.mayServe(id);
  }

  /** Notes a request for a model: one that is over soon may be in no figure when those are looked at. */
  uses(model: string): void {
    this.#reconciler.uses(model);
  }

  /** Tells whether somebody took a deployment of ours down, within the last minute, and not to move it. */
  wasTakenDown(id: string): boolean {
    return this.#reconciler.wasTakenDown(id);
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
   * @throws SkeinError `invalid-request` for terms that contradict each other; `model-not-found`, or `no-peers` while members are missing; those of planning (`no-peers`,
   * `does-not-fit`, `split-unsupported`); the failure of a stage; `peer-lost`, `deadline-exceeded`, `aborted`,
   * `not-running`
   */
  async deploy(request: DeploymentRequest, options: DeployOptions = {}): Promise<DeploymentStatus> {
    const { wait = false, signal = this.#stopped.signal, onProgress } = options;
    const scaling = scalingOf(options.scaling ?? {});
    const isCounted = scaling?.replicas !== undefined || options.scaling?.standby !== undefined;
    const unlessServed = options.unlessServed === true || isCounted;
    const { model: reference, ...asked } = request;
    const held = this.#find(reference);
    const { model, name } = held;
    const before = this.#reconciler.scalingOf(model);
    const hasOptions = Object.values(asked).some((value) => value !== undefined);
    const spec = (unlessServed && !hasOptions && before?.spec) || deploymentSpec(asked, model);
    const { coming } = this.#components;
    const isComing = coming?.isAwaited(held) === true;
    // The deployment that others wait for waits for nobody.
    if (unlessServed && !(isComing && wait)) await this.#untilBegun(held, signal);
    const there = unlessServed ? this.#jobThere(this.#reconciler.deploymentFor({ model, options: asked })) : undefined;
    const patience = wait ? 'passing' : 'none';
    const job = there ?? this.#reconciler.want({ name, spec, patience }, wait ? undefined : signal);
    // A request may have made the one that is there.
    if (there !== undefined && wait) this.#reconciler.ask(there.id, patience);
    if (isComing) coming?.begin();
    const isShared = there !== undefined || wait;
    const terms =
      scaling !== undefined
        ? { ...scaling, id: before?.id ?? this.#components.newId(), name, spec: there?.spec ?? spec }
        : before && there === undefined && !unlessServed
          ? withOneMore(before, this.#reconciler.replicasOf(model).length)
          : before;
    // Of one that may yet be refused, no further replicas are to be left.
    const toBegin = wait || terms?.replicas === undefined ? terms : atMostOne(terms);
    if (terms !== before) this.#reconciler.setScaling(model, toBegin);
    using _asked = this.#reconciler.asks(model);
    try {
      const { id } = await this.#followed(job, { isShared, signal, onProgress: this.#observer(onProgress) });
      if (toBegin !== terms) this.#reconciler.setScaling(model, terms);
      await this.#reconciler.saved();
      const status = this.#reconciler.job(id)?.status();
      if (status === undefined) throw this.#notFound(id);
      return this.#withScaling(status);
    } catch (error) {
      if (!wait && terms !== before && this.#reconciler.scalingOf(model) === toBegin && !this.#stopped.signal.aborted) {
        this.#reconciler.setScaling(model, before);
      }
      throw error;
    }
  }

  #observer(onProgress: DeploymentObserver | undefined): DeploymentObserver | undefined {
    return onProgress && ((status) => onProgress(this.#withScaling(status)));
  }

  /** Adds the terms of its model to a status. */
  #withScaling(status: DeploymentStatus): DeploymentStatus {
    const terms = this.#reconciler.scalingOf(status.model);
    return withTerms(status, terms, { isStandby: this.#reconciler.isStandby(status.id) });
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
    using _asked = this.#reconciler.asks(held.model);
    await untilAborted(Promise.all(failed.map(async (one) => await this.#untilNoticed(one))), signal);
    // One that has its lost stages again may be asked again: the request failed before that.
    const lost = failed.filter((id) => !this.#isRebuilt(this.#reconciler.job(id)));
    for (;;) {
      const deployment = await this.#shared(this.#jobFor(held, lost).settled(), signal);
      const isWhole = await untilAborted(deployment.whole, signal);
      // One that has lost a stage for good is replaced as a whole.
      if (isWhole) return { deployment: deployment.id, lead: deployment.lead };
    }
  }

  /**
   * Takes a deployment down: it gets no more requests, and once those that run have ended its peers release it.
   * Resolves then, with its last state. One that does not serve, or is lost meanwhile, is taken down at once. Another
   * call waits for the same, or ends the wait with `now`.
   *
   * @throws SkeinError `not-found` for an unknown id
   */
  async undeploy(id: string, { now = false, onProgress }: UndeployOptions = {}): Promise<DeploymentStatus> {
    const unloaded = this.#reconciler.scaling().find((terms) => terms.id === id);
    if (unloaded !== undefined) {
      this.#reconciler.setScaling(unloaded.spec.model, undefined);
      await this.#reconciler.saved();
      return { ...statusOfUnloaded(unloaded, this.#components.now()), state: 'closed' };
    }
    const job = this.#reconciler.job(id);
    const status = job?.status();
    if (job === undefined || status === undefined) throw this.#notFound(id);
    this.#lessBy(job);
    using observation = new DisposableStack();
    if (onProgress !== undefined && job.deployment !== undefined) observation.defer(job.deployment.observe(onProgress));
    const goal = now ? 'end' : 'drain';
    const next = this.#reconciler.successorOf(id);
    this.#reconciler.takeDown(id, goal);
    // The one in place of a lost one is the same to whoever deployed it.
    if (next !== undefined) this.#reconciler.takeDown(next.id, goal);
    await job.gone;
    await this.#reconciler.saved();
    for (const one of this.#reconciler.jobs()) one.retry();
    return job.deployment?.status() ?? { ...status, state: 'closed' };
  }

  /** Lowers the terms of a model to the replicas that are left without one that is taken down by hand. */
  #lessBy({ id, model }: DeploymentJob): void {
    const terms = this.#reconciler.scalingOf(model);
    if (terms === undefined) return;
    const isStandby = this.#reconciler.isStandby(id);
    const those = isStandby ? this.#reconciler.standbysOf(model) : this.#reconciler.replicasOf(model);
    const left = those.filter((one) => one.id !== id).length;
    this.#reconciler.setScaling(model, isStandby ? withStandbys(terms, left) : withReplicasLeft(terms, left));
  }

  /**
   * Replaces a deployment whose answers are wrong, and takes it down once those that run have ended. Ignores unknown ids.
   *
   * @param options.avoid peer ids of machines on which the model's weights are wrong
   */
  replaceWrong(id: string, { avoid }: { readonly avoid: readonly string[] }): void {
    this.#reconciler.replaceWrong(id, avoid);
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
    await this.#reconciler.stop(reason);
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

  /** Returns the job of the deployment that answers a demand; undefined where one is to be added. */
  #jobThere(demand: Demand): DeploymentJob | undefined {
    return demand.type === 'use' ? this.#reconciler.job(demand.id) : undefined;
  }

  /** Returns the job of a deployment that answers a request; begins one where there is none. */
  #jobFor({ model, name }: MeshModel, failed: readonly string[]): DeploymentJob {
    const demand = this.#reconciler.deploymentFor({ model, failed });
    const lost = demand.type === 'add' ? demand.spec : undefined;
    const there = this.#jobThere(demand);
    if (there !== undefined) return there;
    const spec = lost ?? this.#reconciler.scalingOf(model)?.spec ?? deploymentSpec({}, model);
    return this.#reconciler.want({ name, spec, isReplacement: lost !== undefined, isOnDemand: true });
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
        const next = this.#reconciler.successorOf(current.id);
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
    if (stages.some((stage) => stage.deployment === id) && !this.#reconciler.hasEnded(id)) {
      const message = `another coordinator made the deployment ${shown}; run \`skein undeploy\` on its machine`;
      return new SkeinError('not-found', message);
    }
    return new SkeinError('not-found', `there is no deployment ${shown}; see \`skein status\``);
  }

  /**
   * Waits until a deployment that a request has found lost is found so here; resolves early when it is not ours, and does
   * not wait long for one that has its lost stages again.
   */
  async #untilNoticed(id: string): Promise<void> {
    const job = this.#reconciler.job(id);
    if (job?.deployment?.state !== 'ready') return;
    const noticed = Promise.withResolvers<void>();
    const forget = job.deployment.observe(({ state }) => void (state !== 'ready' && noticed.resolve()));
    const longest = this.#isRebuilt(job) ? rebuiltNoticeMs : this.#timeouts.lossNoticeMs;
    await Promise.race([noticed.promise, delay(longest, undefined, { ref: false })]);
    forget();
  }

  /** Tells whether lost stages of a deployment were replaced a moment ago: requests that failed may have done so before. */
  #isRebuilt(job: DeploymentJob | undefined): boolean {
    return job !== undefined && job.sinceRebuiltMs < this.#timeouts.lossNoticeMs;
  }
}

function hasStageOn({ deployment }: DeploymentJob, peer: string): boolean {
  return deployment?.status().stages.some((stage) => stage.peer === peer) === true;
}
