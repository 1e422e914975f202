import { fetchManifest, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  invariant,
  machineName,
  Observers,
  SkeinError,
  toLog,
  type Card,
  type DeploymentSpec,
  type DeploymentState,
  type DeploymentStatus,
  type Logger,
} from '@skein/protocol';

import type { Schedule } from '../timers.ts';
import type { PlacedStage } from '../planner/index.ts';
import {
  Deployment,
  type DeploymentComponents,
  type DeploymentObserver,
  type DeploymentOptions,
  type StagePlace,
} from './deployment.ts';
import { statusOfWaiting } from './desired-state.ts';
import type { FreshCards } from './fresh-cards.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import type { LastPlacement } from './last-placement.ts';
import { peerForStage } from './peer-for-stage.ts';
import type { Placement } from './placement.ts';
import type { Progress } from './reconcile.ts';
import { pauseAfter } from './retry.ts';
import type { StageTimeouts } from './stage-link.ts';

export interface DeploymentJobComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly freshCards: Pick<FreshCards, 'get'>;
  readonly logger: Logger;
  readonly lease?: DeploymentComponents['lease'];
  readonly onReplaced?: DeploymentComponents['onReplaced'];
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Returns milliseconds of a clock that only goes forward. */
  readonly elapsedMs: () => number;
  readonly schedule: Schedule;
  /** Called when a deployment goes from one state to another. */
  readonly onTransition?: ((status: DeploymentStatus, before: DeploymentState) => void) | undefined;
}

export interface DeploymentJobOptions {
  readonly id: string;
  /** Name of the model. */
  readonly name: string;
  readonly spec: DeploymentSpec;
  readonly timeouts: StageTimeouts & { readonly releaseMs: number; readonly returnMs: number };
  /** The first step. A deployment of an earlier coordinator is `restored`. Default `asked`. */
  readonly from?: 'asked' | 'restored' | undefined;
  /** Number of attempts in a row that failed before this one. Default 0. */
  readonly failures?: number | undefined;
  /** Tells whether it is a standby now. */
  readonly isStandby: () => boolean;
  /** Lists the stages of all deployments of this coordinator. */
  readonly placed: () => readonly PlacedStage[];
  /** Lists the peers that get none of its stages anew. */
  readonly closedPeers: () => readonly string[];
  /** Called after every change of {@link DeploymentJob.progress}. */
  readonly onChange: () => void;
  /** Called whenever the deployment serves: first, and again when lost stages of it were replaced. */
  readonly onServing: (deployment: Deployment) => void;
}

/**
 * Longest wait for cards that show a place for a lost stage, in milliseconds: the card of the machine that lost it says so
 * within a moment, and a whole new plan may be had instead.
 */
const replaceMs = 1000;

/** Least time between two attempts that requests bring about, in milliseconds. */
const leastPauseMs = 5000;
/** Time for which a deployment has to serve for its loss to be no failed attempt, in milliseconds. */
const steadyMs = 60_000;

/** The work on one desired deployment. It takes its steps on command, and reports its progress. */
export class DeploymentJob {
  readonly #components: DeploymentJobComponents;
  readonly #options: DeploymentJobOptions;
  readonly #ready = Promise.withResolvers<Deployment>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #cancelled = new AbortController();
  #timer: Disposable | undefined;
  #progress: Exclude<Progress, { step: 'placed' }>;
  readonly #observers = new Observers<[DeploymentStatus]>();
  #model: MeshModel | undefined;
  #deployment: Deployment | undefined;
  #isAdopting = false;
  #failures: number;
  #servesSince: number | undefined;
  #rebuiltAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  /** The reason of the last wait. */
  #reason: SkeinError | undefined;
  /** Rejects when the deployment comes to wait. */
  #turn = Promise.withResolvers<never>();

  constructor(components: DeploymentJobComponents, options: DeploymentJobOptions) {
    const { from = 'asked', failures = 0, timeouts } = options;
    this.#components = components;
    this.#options = options;
    this.#failures = failures;
    this.#progress = { step: from };
    this.#setTimer(from === 'restored' ? timeouts.returnMs : timeouts.releaseMs, { step: 'overdue' });
    // Nobody may be waiting any more.
    this.ready.catch(() => undefined);
    this.#turn.promise.catch(() => undefined);
  }

  get id(): string {
    return this.#options.id;
  }

  get spec(): DeploymentSpec {
    return this.#options.spec;
  }

  /** SHA-256 of the model. */
  get model(): string {
    return this.#options.spec.model;
  }

  get progress(): Progress {
    return this.#deployment === undefined
      ? this.#progress
      : { step: 'placed', status: this.#deployment.status(), readySinceMs: this.#servesSince };
  }

  /** Number of attempts that have failed in a row, should this one be lost now. */
  get failures(): number {
    const servedMs = this.#servesSince === undefined ? 0 : this.#components.elapsedMs() - this.#servesSince;
    return servedMs >= steadyMs ? 0 : this.#failures + 1;
  }

  /** Time since lost stages of it were replaced, in milliseconds; infinite where none was. */
  get sinceRebuiltMs(): number {
    return this.#components.elapsedMs() - this.#rebuiltAt;
  }

  /** Whether it may serve as its cards say: it does, or an earlier coordinator has left it so. */
  get mayServe(): boolean {
    if (this.#deployment === undefined) return this.#progress.step === 'restored';
    return this.#deployment.state === 'ready' || (this.#isAdopting && this.#deployment.state === 'connecting');
  }

  /** Returns the status; undefined for one that was just asked for, of which there is nothing to tell yet. */
  status(): DeploymentStatus | undefined {
    if (this.#deployment !== undefined) return this.#deployment.status();
    if (this.#reason === undefined && this.#options.from !== 'restored') return undefined;
    return statusOfWaiting(this.#options, this.#reason ?? notBack(), this.#components.now());
  }

  /** The deployment on its peers; undefined until it is placed. */
  get deployment(): Deployment | undefined {
    return this.#deployment;
  }

  /** Resolves when the deployment serves. Rejects with the reason why it never will. */
  get ready(): Promise<Deployment> {
    return this.#ready.promise;
  }

  /**
   * Resolves when the deployment serves, for a request that can't wait long. Has one that waits tried again, unless that
   * was done a moment ago.
   *
   * @throws SkeinError the reason why it never will; `no-peers` with the reason why it waits
   */
  async settled(): Promise<Deployment> {
    const isRecent = this.#components.elapsedMs() - this.#triedAt < leastPauseMs;
    if (this.#deployment === undefined && this.#progress.step === 'waiting') {
      if (isRecent) throw this.#stillWaiting();
      this.retry();
    }
    return await Promise.race([this.#ready.promise, this.#turn.promise]);
  }

  /** Resolves when the deployment was closed or refused, and its peers have released it. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Calls an observer with the deployment's status at every change from now on, until the result is disposed of. */
  observe(observer: DeploymentObserver): Disposable {
    return { [Symbol.dispose]: this.#observers.add(observer, toLog(this.#components.logger, 'a deployment')) };
  }

  /** Ends the waits of the job. Callers that wait for it get the first reason, once it is closed. */
  cancel(reason: SkeinError): void {
    this.#cancelled.abort(reason);
  }

  /** Finds the model's holders, and gets its manifest from one of them and the newest cards: all that a plan is made of. */
  async fetch(): Promise<void> {
    const { mesh, freshCards } = this.#components;
    const { signal } = this.#cancelled;
    this.#timer?.[Symbol.dispose]();
    this.#triedAt = this.#components.elapsedMs();
    this.#advance({ step: 'fetching' });
    try {
      const found = findHeldModel(mesh, this.#options.spec.model);
      const { model, manifest: digest, holders } = found;
      const [{ manifest }] = await Promise.all([
        fetchManifest({ mesh, model, digest, holders, signal }),
        freshCards.get(signal),
      ]);
      this.#model = found;
      this.#advance({ step: 'fetched', manifest, sinceMs: this.#components.elapsedMs() });
    } catch (error) {
      this.#advance({ step: 'not-fetched', error });
    }
  }

  /** Puts the deployment on its peers; from then on, its status tells the progress. Requires an earlier {@link fetch}. */
  place({ plan, spec }: Placement, cards: readonly Card[]): void {
    const model = invariant(this.#model, 'a plan is made from a manifest');
    const stages = plan.stages.map((stage) => ({ ...stage, devices: [...stage.devices] }));
    const startedAt = this.#components.now();
    this.#run(
      { plan: { ...plan, stages }, spec, startedAt, cards },
      async (deployment) => await deployment.load(model),
    );
  }

  /** Takes the deployment over from an earlier coordinator. */
  adopt({ spec, startedAt, ...plan }: LastPlacement, cards: readonly Card[]): void {
    this.#timer?.[Symbol.dispose]();
    this.#isAdopting = true;
    this.#run({ plan, spec, startedAt, cards }, async (deployment) => await deployment.adopt());
  }

  #run(
    { cards, ...options }: Pick<DeploymentOptions, 'plan' | 'spec' | 'startedAt'> & { readonly cards: readonly Card[] },
    begin: (deployment: Deployment) => Promise<void>,
  ): void {
    const { logger, onTransition } = this.#components;
    const { id, name, timeouts, isStandby, onChange } = this.#options;
    const machines = options.plan.stages.map(({ peer }) => machineName(cards, peer));
    const replaceStage: DeploymentOptions['replaceStage'] = async (stage, options) =>
      await this.#replaceStage(deployment, stage, options);
    const facts = { id, name, machines, timeouts, isStandby, replaceStage };
    const deployment = new Deployment(this.#components, { ...options, ...facts });
    this.#deployment = deployment;
    let state: DeploymentState = 'loading';
    deployment.observe((status) => {
      const before = state;
      ({ state } = status);
      if (state === 'ready' && state !== before) this.#serves(deployment);
      onChange();
      if (state !== before && !(this.#isAdopting && state === 'ready')) onTransition?.(status, before);
    });
    deployment.observe((status) => this.#observers.notify(status));
    begin(deployment).then(
      () => {
        const { length: stages } = options.plan.stages;
        logger.info({ deployment: id, stages }, this.#isAdopting ? 'a deployment goes on' : 'a deployment is ready');
        this.#isAdopting = false;
        this.#ready.resolve(deployment);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #serves(deployment: Deployment): void {
    const nowMs = this.#components.elapsedMs();
    if (this.#servesSince !== undefined) this.#rebuiltAt = nowMs;
    this.#servesSince ??= nowMs;
    this.#options.onServing(deployment);
  }

  /**
   * Finds another place for a lost stage; waits for a while until the cards show one.
   *
   * @throws SkeinError `does-not-fit` where there is none, and those of finding the model
   */
  async #replaceStage(
    deployment: Deployment,
    stage: number,
    { isLeft, signal }: { readonly isLeft: boolean; readonly signal: AbortSignal },
  ): Promise<StagePlace> {
    const { spec, timeouts, placed, closedPeers } = this.#options;
    const { mesh } = this.#components;
    const { stages, microBatchRows, name } = deployment.status();
    const { model, labels } = spec;
    const lost = { deployment: deployment.id, model, labels, stage, stages, microBatchRows, isLeft };
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(Math.min(timeouts.releaseMs, replaceMs))]);
    try {
      for await (const cards of mesh.cards.watch({ signal: waiting })) {
        const peer = peerForStage(cards, placed(), { ...lost, closed: closedPeers() });
        const isThere = cards.some((card) => card.peer === stages[stage]?.peer);
        if (peer === undefined && !isThere) break;
        if (peer === undefined) continue;
        return { peer, machine: machineName(cards, peer), model: findHeldModel(mesh, model) };
      }
    } catch (error) {
      if (signal.aborted || !waiting.aborted) throw error;
    }
    throw new SkeinError('does-not-fit', `no machine has room for stage ${stage + 1} of ${name}, which was lost`);
  }

  /** Puts the next attempt off, because of a failure. */
  wait(error: unknown, machines: string): void {
    const reason = asSkeinError(error);
    const { id, name } = this.#options;
    const pauseMs = pauseAfter(this.#failures);
    this.#failures += 1;
    if (reason.message !== this.#reason?.message) {
      const fields = { deployment: id, model: name, code: reason.code, reason: reason.message };
      this.#components.logger.warn(fields, 'a deployment waits');
    }
    this.#reason = reason;
    this.#advance({ step: 'waiting', machines, isDue: false });
    this.#setTimer(pauseMs, { step: 'waiting', machines, isDue: true });
    const status = this.status();
    if (status !== undefined) this.#observers.notify(status);
    this.#turn.reject(this.#stillWaiting());
  }

  /** Begins the next attempt. Does nothing unless it waits. */
  retry(): void {
    if (this.#deployment !== undefined || this.#progress.step !== 'waiting') return;
    this.#turn = Promise.withResolvers<never>();
    this.#turn.promise.catch(() => undefined);
    this.#advance({ step: 'asked' });
    this.#setTimer(this.#options.timeouts.releaseMs, { step: 'overdue' });
  }

  #stillWaiting(): SkeinError {
    const { name } = this.#options;
    const reason = this.#reason ?? notBack();
    return new SkeinError('no-peers', `${name} is to be deployed as it was asked for, and waits: ${reason.message}`, {
      details: { param: 'model', retryAfterSeconds: leastPauseMs / 1000 },
      cause: reason,
    });
  }

  /** Ends the work on a deployment that is not placed, since another one serves in its place: callers get that one. */
  yieldTo(other: Deployment): void {
    this.#timer?.[Symbol.dispose]();
    this.#ready.resolve(other);
    this.#gone.resolve();
  }

  /** Gives up on a deployment that was not placed. */
  refuse(error: unknown): void {
    this.#fail(error);
    this.#gone.resolve();
  }

  /**
   * Drains the deployment, if it serves.
   *
   * @param options.handOver whether answers that can go on elsewhere do
   */
  drain(options: { readonly handOver: boolean }): void {
    this.#deployment?.drain(options);
  }

  /** Leaves the deployment to its peers, which keep it for a while if it serves. Callers that wait for it get the reason. */
  async leave(reason: SkeinError): Promise<void> {
    this.cancel(reason);
    this.#fail(reason);
    await this.#deployment?.leave();
    this.#gone.resolve();
  }

  /** Takes the deployment down, whatever its progress. */
  async close(): Promise<void> {
    this.cancel(new SkeinError('aborted', 'the deployment was taken down'));
    this.#fail(this.#cancelled.signal.reason);
    if (this.#deployment !== undefined) {
      await this.#deployment.close();
      this.#components.logger.info({ deployment: this.#options.id }, 'a deployment was taken down');
    }
    this.#gone.resolve();
  }

  /** Fails the job. One that was cancelled fails with the reason of that, whatever error it caused. */
  #fail(error: unknown): void {
    const { signal } = this.#cancelled;
    this.#timer?.[Symbol.dispose]();
    this.#ready.reject(signal.aborted ? asSkeinError(signal.reason, 'aborted') : error);
  }

  #setTimer(delayMs: number, progress: Exclude<Progress, { step: 'placed' }>): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#components.schedule(delayMs, () => this.#advance(progress));
  }

  #advance(progress: Exclude<Progress, { step: 'placed' }>): void {
    this.#progress = progress;
    this.#options.onChange();
  }
}

function notBack(): SkeinError {
  return new SkeinError('no-peers', 'the machines that it served on before a restart are not all back yet');
}
