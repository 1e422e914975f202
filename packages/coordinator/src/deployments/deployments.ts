import { setTimeout as delay } from 'node:timers/promises';

import { fetchManifest, untilAborted, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  deploymentSpec,
  isSkeinError,
  machineName,
  maxDeadAfterMs,
  mayFitWithLess,
  onAbort,
  plannedSpec,
  SkeinError,
  type DeploymentOptions,
  type DeploymentSpec,
  type DeploymentState,
  type DeploymentStatus,
  type Logger,
  type PlannedSpec,
} from '@skein/protocol';

import { plan, type Plan, type PlanSnapshot } from '../planner/index.ts';
import type { DeploymentRoute, DeployRequest } from './deploy-request.ts';
import { Deployment, type DeploymentObserver } from './deployment.ts';
import { EndedDeployments } from './ended-deployments.ts';
import { findHeldModel, type MeshModel } from './held-model.ts';
import { placedStages } from './placed-stages.ts';
import type { StageTimeouts } from './stage-link.ts';

export interface DeploymentsComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly logger: Logger;
  /** Makes deployment ids: 8 to 64 of a-z, 0-9 and dash, unique in the mesh. */
  readonly newId: () => string;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Called when a deployment goes from one state to another. */
  readonly onTransition?: ((status: DeploymentStatus, before: DeploymentState) => void) | undefined;
}

export interface DeploymentsOptions {
  /**
   * Most tokens of context for a deployment that does not ask for some; models trained for less get theirs. Default
   * 4096.
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
  readonly letGoMs: number;
}

const defaultTimeouts: DeploymentTimeouts = {
  loadStallMs: 120_000,
  connectMs: 30_000,
  closeMs: 5000,
  lossNoticeMs: maxDeadAfterMs + 1000,
  letGoMs: 8000,
};

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

/**
 * The replicas that this coordinator has put on peers. They live as long as it does: its streams hold them. A failed one
 * stays in the list, with its error, until its model is deployed anew.
 */
export class Deployments {
  readonly #components: DeploymentsComponents;
  readonly #options: DeploymentsOptions;
  readonly #timeouts: DeploymentTimeouts;
  readonly #deployments = new Map<string, Deployment>();
  /** Deployments in progress that {@link ensure} waits for, by model. */
  readonly #jobs = new Map<string, Promise<Deployment>>();
  /** Deployments that are no longer in the table, for cards that are a moment old. */
  readonly #gone: EndedDeployments;
  readonly #stopped = new AbortController();

  constructor(components: DeploymentsComponents, options: DeploymentsOptions = {}) {
    this.#components = components;
    this.#options = options;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#gone = new EndedDeployments(components);
  }

  /** Lists the deployments in the order in which they were started. */
  list(): readonly DeploymentStatus[] {
    return [...this.#deployments.values()].map((deployment) => deployment.status());
  }

  /** Returns the peer ids of the stages of a deployment of ours, in pipeline order; undefined for an unknown one. */
  peersOf(id: string): readonly string[] | undefined {
    return this.#deployments
      .get(id)
      ?.status()
      .stages.map(({ peer }) => peer);
  }

  /** Tells whether a deployment may serve: false for one of ours that is not ready. Others' count as their cards say. */
  mayServe(id: string): boolean {
    return !this.#gone.has(id) && (this.#deployments.get(id)?.state ?? 'ready') === 'ready';
  }

  /**
   * Puts one more replica of a model on peers and resolves when it serves.
   *
   * @throws SkeinError `model-not-found`, or `no-peers` while members are missing; those of planning (`no-peers`,
   * `does-not-fit`, `split-unsupported`); the failure of a stage; `peer-lost`, `deadline-exceeded`, `aborted`,
   * `not-running`
   */
  async deploy(request: DeployRequest): Promise<DeploymentStatus> {
    return (await this.#begin(request)).status();
  }

  /**
   * Returns a replica of the model that serves: one of ours that has not just failed, else a new one. A new one gets
   * the options of the replica that failed before it, as far as they are still possible, else the defaults. Concurrent
   * calls wait for the same one.
   *
   * @throws SkeinError as {@link deploy} does
   */
  async ensure(model: string, { signal, failed = [] }: EnsureOptions): Promise<DeploymentRoute> {
    const id = findHeldModel(this.#components.mesh, model).model;
    await untilAborted(Promise.all(failed.map(async (one) => await this.#untilNoticed(one))), signal);
    const ready = [...this.#deployments.values()].find(
      (one) => one.model === id && one.state === 'ready' && !failed.includes(one.id),
    );
    const deployment = ready ?? (await this.#sharedJob(id, signal));
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
    const deployment = this.#deployments.get(id);
    if (deployment === undefined) throw this.#notFound(id);
    using observation = new DisposableStack();
    if (onProgress !== undefined) observation.defer(deployment.observe(onProgress));
    if (!now) await deployment.drain();
    this.#remove(deployment);
    await deployment.close();
    this.#components.logger.info({ deployment: id }, 'a deployment was taken down');
    return deployment.status();
  }

  /** Takes all deployments down, for good. Takes `closeMs` at most. */
  async stop(): Promise<void> {
    this.#stopped.abort(new SkeinError('not-running', 'the coordinator is stopping'));
    await Promise.all([...this.#deployments.values()].map(async (deployment) => await deployment.close()));
  }

  #notFound(id: string): SkeinError {
    const shown = id.slice(0, 100);
    const stages = this.#components.mesh.cards.snapshot().flatMap((card) => card.stages);
    if (stages.some((stage) => stage.deployment === id) && !this.#gone.has(id)) {
      const message = `another coordinator made the deployment ${shown}; run \`skein undeploy\` on its machine`;
      return new SkeinError('not-found', message);
    }
    return new SkeinError('not-found', `there is no deployment ${shown}; see \`skein status\``);
  }

  /** Waits for the end of a deployment that a request has found lost; resolves early when it is not ours or over. */
  async #untilNoticed(id: string): Promise<void> {
    const deployment = this.#deployments.get(id);
    if (deployment?.state === 'ready') {
      await Promise.race([deployment.over, delay(this.#timeouts.lossNoticeMs, undefined, { ref: false })]);
    }
  }

  /**
   * Waits until no card shows a stage of a replica of ours that is over. An earlier plan would count its memory as
   * taken, and might choose the peer that it was lost with.
   */
  async #untilLetGo(signal: AbortSignal): Promise<void> {
    const { cards } = this.#components.mesh;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(this.#timeouts.letGoMs)]);
    for await (const snapshot of cards.watch({ signal: inTime })) {
      if (!snapshot.some(({ stages }) => stages.some(({ deployment }) => this.#isOver(deployment)))) return;
    }
  }

  #isOver(id: string): boolean {
    const state = this.#deployments.get(id)?.state;
    return this.#gone.has(id) || state === 'failed' || state === 'closed';
  }

  async #sharedJob(model: string, signal: AbortSignal): Promise<Deployment> {
    const job = this.#jobs.get(model) ?? this.#begin({ ...this.#failedSpec(model), model }, { isAnew: true });
    try {
      return await untilAborted(job, signal);
    } catch (error) {
      if (signal.aborted || !isSkeinError(error) || error.code !== 'aborted') throw error;
      // Someone else's doing: this caller cancelled nothing.
      throw new SkeinError('not-deployed', 'the deployment was cancelled while it loaded; try again', { cause: error });
    }
  }

  /** Returns the options of the last failed replica of a model. */
  #failedSpec(model: string): DeploymentOptions {
    const failed = [...this.#deployments.values()].filter((one) => one.model === model && one.state === 'failed');
    return failed.at(-1)?.spec ?? {};
  }

  /** Starts a deployment; until it is ready or has failed, {@link ensure} waits for it, too. */
  async #begin(request: DeployRequest, { isAnew = false } = {}): Promise<Deployment> {
    const model = findHeldModel(this.#components.mesh, request.model);
    const job = this.#run(model, { request, isAnew });
    this.#jobs.set(model.model, job);
    const forget = () => {
      if (this.#jobs.get(model.model) === job) this.#jobs.delete(model.model);
    };
    job.then(forget, forget);
    return await job;
  }

  async #run(
    model: MeshModel,
    { request, isAnew }: { readonly request: DeployRequest; readonly isAnew: boolean },
  ): Promise<Deployment> {
    const signal = AbortSignal.any([this.#stopped.signal, ...(request.signal === undefined ? [] : [request.signal])]);
    await this.#untilLetGo(signal);
    if (signal.aborted) throw asSkeinError(signal.reason, 'aborted');
    const deployment = await this.#place({ model, request, isAnew, signal });
    const cancel = () => {
      this.#remove(deployment);
      void deployment.close();
    };
    using _abort = onAbort(signal, cancel);
    try {
      await deployment.load();
    } catch (error) {
      throw signal.aborted ? asSkeinError(signal.reason, 'aborted') : error;
    }
    this.#components.logger.info(
      { deployment: deployment.id, stages: deployment.status().stages.length },
      'a deployment is ready',
    );
    return deployment;
  }

  /** Plans a deployment and enters it into the table, without a pause between: the next plan counts its memory. */
  async #place(job: {
    readonly model: MeshModel;
    readonly request: DeployRequest;
    readonly isAnew: boolean;
    readonly signal: AbortSignal;
  }): Promise<Deployment> {
    const { model, request, isAnew, signal } = job;
    const { mesh, newId, now } = this.#components;
    const { manifest } = await fetchManifest({
      mesh,
      model: model.model,
      digest: model.manifest,
      holders: model.holders,
      signal,
    });
    if (signal.aborted) throw asSkeinError(signal.reason, 'aborted');
    const { signal: _signal, onProgress, ...options } = request;
    const spec = deploymentSpec(options, model.model);
    const snapshot = { cards: mesh.cards.snapshot(), manifest, placed: placedStages(this.list()) };
    const asTheyFit = { ...spec, stages: undefined, layers: undefined };
    const specs = isAnew ? [spec, asTheyFit, { ...asTheyFit, contextTokens: undefined }] : [spec];
    const planned = this.#plan(snapshot, specs);
    const deployment = new Deployment(this.#components, {
      id: newId(),
      model,
      spec,
      ...planned,
      machines: planned.plan.stages.map(({ peer }) => machineName(snapshot.cards, peer)),
      timeouts: this.#timeouts,
      startedAt: now(),
    });
    let state: DeploymentState = 'loading';
    deployment.observe((status) => {
      const before = state;
      ({ state } = status);
      if (state !== before) this.#components.onTransition?.(status, before);
    });
    if (onProgress !== undefined) deployment.observe(onProgress);
    for (const other of this.#deployments.values()) {
      if (other.model === deployment.model && other.state === 'failed') this.#remove(other);
    }
    this.#deployments.set(deployment.id, deployment);
    return deployment;
  }

  /**
   * Plans the first of the specs that there are machines and memory for. Throws the failure of the first spec; while a
   * deployment is draining, that its memory has to be waited for.
   */
  #plan(
    snapshot: PlanSnapshot,
    specs: readonly DeploymentSpec[],
  ): { readonly plan: Plan; readonly planned: PlannedSpec } {
    let failure: unknown;
    for (const spec of specs) {
      const planned = plannedSpec(spec, snapshot.manifest.shape, this.#options.contextTokens);
      try {
        return { plan: plan(snapshot, planned), planned };
      } catch (error) {
        failure ??= error;
        if (!isSkeinError(error) || !mayFitWithLess(error.code)) break;
      }
    }
    if (isSkeinError(failure) && failure.code === 'does-not-fit') throw this.#untilDrained(failure);
    throw failure;
  }

  #untilDrained(failure: SkeinError): SkeinError {
    const draining = [...this.#deployments.values()].find(({ state }) => state === 'draining');
    if (draining === undefined) return failure;
    const { id, name } = draining.status();
    return new SkeinError(
      'no-peers',
      `there is no room yet: ${name} is being taken down, and its running answers end first; ask again in a moment, or cut them with \`skein undeploy ${id} --now\``,
      { cause: failure },
    );
  }

  #remove(deployment: Deployment): void {
    if (!this.#deployments.has(deployment.id)) return;
    this.#deployments.delete(deployment.id);
    this.#gone.add(deployment.id);
  }
}
