import { fetchManifest, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  invariant,
  machineName,
  Observers,
  SkeinError,
  toLog,
  type Card,
  type DeploymentState,
  type DeploymentStatus,
  type Logger,
} from '@skein/protocol';

import { Deployment, type DeploymentComponents, type DeploymentObserver } from './deployment.ts';
import type { FreshCards } from './fresh-cards.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import type { Placement } from './placement.ts';
import type { Progress } from './reconcile.ts';
import type { StageTimeouts } from './stage-link.ts';

export interface DeploymentJobComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly freshCards: Pick<FreshCards, 'get'>;
  readonly logger: Logger;
  readonly lease?: DeploymentComponents['lease'];
  readonly onReplaced?: DeploymentComponents['onReplaced'];
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Called when a deployment goes from one state to another. */
  readonly onTransition?: ((status: DeploymentStatus, before: DeploymentState) => void) | undefined;
}

export interface DeploymentJobOptions {
  readonly id: string;
  /** SHA-256 of the model. */
  readonly model: string;
  readonly timeouts: StageTimeouts & { readonly releaseMs: number };
  /** Called after every change of {@link DeploymentJob.progress}. */
  readonly onChange: () => void;
}

/** The work on one desired deployment. It takes its steps on command, and reports its progress. */
export class DeploymentJob {
  readonly #components: DeploymentJobComponents;
  readonly #options: DeploymentJobOptions;
  readonly #ready = Promise.withResolvers<Deployment>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #cancelled = new AbortController();
  readonly #overdue: NodeJS.Timeout;
  #progress: Exclude<Progress, { step: 'placed' }> = { step: 'asked' };
  readonly #observers = new Observers<[DeploymentStatus]>();
  #model: MeshModel | undefined;
  #deployment: Deployment | undefined;

  constructor(components: DeploymentJobComponents, options: DeploymentJobOptions) {
    this.#components = components;
    this.#options = options;
    this.#overdue = setTimeout(() => this.#advance({ step: 'overdue' }), options.timeouts.releaseMs).unref();
    // Nobody may be waiting any more.
    this.ready.catch(() => undefined);
  }

  get id(): string {
    return this.#options.id;
  }

  /** SHA-256 of the model. */
  get model(): string {
    return this.#options.model;
  }

  get progress(): Progress {
    return this.#deployment === undefined ? this.#progress : { step: 'placed', status: this.#deployment.status() };
  }

  /** The deployment on its peers; undefined until it is placed. */
  get deployment(): Deployment | undefined {
    return this.#deployment;
  }

  /** Resolves when the deployment serves. Rejects with the reason why it never will. */
  get ready(): Promise<Deployment> {
    return this.#ready.promise;
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
    clearTimeout(this.#overdue);
    this.#advance({ step: 'fetching' });
    try {
      const found = findHeldModel(mesh, this.#options.model);
      const { model, manifest: digest, holders } = found;
      const [{ manifest }] = await Promise.all([
        fetchManifest({ mesh, model, digest, holders, signal }),
        freshCards.get(signal),
      ]);
      this.#model = found;
      this.#advance({ step: 'fetched', manifest });
    } catch (error) {
      this.#advance({ step: 'not-fetched', error });
    }
  }

  /** Puts the deployment on its peers; from then on, its status tells the progress. Requires an earlier {@link fetch}. */
  place({ plan, spec }: Placement, cards: readonly Card[]): void {
    const { now, logger, onTransition } = this.#components;
    const { id, timeouts, onChange } = this.#options;
    const deployment = new Deployment(this.#components, {
      id,
      model: invariant(this.#model, 'a plan is made from a manifest'),
      plan,
      spec,
      machines: plan.stages.map(({ peer }) => machineName(cards, peer)),
      timeouts,
      startedAt: now(),
    });
    this.#deployment = deployment;
    let state: DeploymentState = 'loading';
    deployment.observe((status) => {
      const before = state;
      ({ state } = status);
      onChange();
      if (state !== before) onTransition?.(status, before);
    });
    deployment.observe((status) => this.#observers.notify(status));
    deployment.load().then(
      () => {
        logger.info({ deployment: id, stages: plan.stages.length }, 'a deployment is ready');
        this.#ready.resolve(deployment);
      },
      (error: unknown) => this.#fail(error),
    );
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
    clearTimeout(this.#overdue);
    this.#ready.reject(signal.aborted ? asSkeinError(signal.reason, 'aborted') : error);
  }

  #advance(progress: Exclude<Progress, { step: 'placed' }>): void {
    this.#progress = progress;
    this.#options.onChange();
  }
}
