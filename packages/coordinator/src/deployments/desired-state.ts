import {
  defaultContextTokens,
  microBatchRows,
  toWireError,
  type DeploymentSpec,
  type DeploymentStatus,
  type SkeinError,
} from '@skein/protocol';

import type { LastPlacement } from './last-placement.ts';
import type { ModelScaling } from './scaling.ts';

/**
 * The end that a deployment is to come to: `serve` until it is lost, `drain` its answers and end, `hand-over` those that
 * can go on elsewhere, drain the rest and end, or `end` at once.
 */
export type Goal = 'serve' | 'drain' | 'hand-over' | 'end';

/**
 * Failures that a deployment outlives, to be placed later: `none`, where its caller is told and decides; `passing`, those
 * that may pass by themselves; `all`, where it has served, and somebody relies on it.
 */
export type Patience = 'none' | 'passing' | 'all';

/** One deployment as somebody asked for it. Plain data. */
export interface DesiredDeployment {
  readonly id: string;
  /** Name of the model, for the time in which nobody shows it. */
  readonly name: string;
  readonly spec: DeploymentSpec;
  readonly goal: Goal;
  /** Whether it replaces a lost one: it gets less than its spec where there is no room for all of it any more. */
  readonly isReplacement: boolean;
  /** Whether a request made it, and nobody asked for it by itself: when it is lost, the next request replaces it. */
  readonly isOnDemand: boolean;
  /** Whether it stands by for the model's other replicas, in memory that is spare. Default: no. */
  readonly isStandby?: boolean | undefined;
  readonly patience: Patience;
  /** Peers that it was placed on last; undefined until it has served. */
  readonly placement: LastPlacement | undefined;
  /** Peer ids of machines that it must not lie on, since the model's weights are wrong there. Default: none. */
  readonly avoid?: readonly string[] | undefined;
  /** Id of the deployment that takes the place of this one, which has failed. */
  readonly replacedBy: string | undefined;
  /** Ids of deployments that were taken down to make room for it. */
  readonly evicted: readonly string[];
}

/**
 * Describes a deployment that lies on no machine.
 *
 * @param reason why that is so
 * @param nowMs milliseconds since 1970
 */
export function statusOfWaiting(
  { id, name, spec }: Pick<DesiredDeployment, 'id' | 'name' | 'spec'>,
  reason: SkeinError,
  nowMs: number,
): DeploymentStatus {
  const { stages: _stages, layers: _layers, ...settings } = spec;
  return {
    ...settings,
    contextTokens: spec.contextTokens ?? defaultContextTokens,
    microBatchRows: microBatchRows.cpu,
    id,
    name,
    state: 'waiting',
    error: toWireError(reason),
    stages: [],
    explanation: '',
    startedAt: nowMs,
  };
}

/** A deployment that is to serve. Facts that are left out are those of one that was just asked for. */
export type WantedDeployment = Pick<DesiredDeployment, 'id' | 'name' | 'spec'> & Partial<DesiredDeployment>;

/**
 * The desired state: the requested deployments, in the order of their requests, and the terms by which replicas of some
 * models come and go by themselves. A lost one stays, so that its spec is
 * known to the request that replaces it, until it is replaced or taken down.
 */
export class DesiredState {
  readonly #deployments = new Map<string, DesiredDeployment>();
  /** By SHA-256 of the model. */
  readonly #scaling = new Map<string, ModelScaling>();
  readonly #onChange: () => void;

  /** @param onChange called after every change. Default: nobody is told */
  constructor(onChange: () => void = () => undefined) {
    this.#onChange = onChange;
  }

  /** Adds a deployment that is to serve. */
  add(deployment: WantedDeployment): void {
    this.#set({
      goal: 'serve',
      isReplacement: false,
      isOnDemand: false,
      patience: 'none',
      placement: undefined,
      replacedBy: undefined,
      evicted: [],
      ...deployment,
    });
  }

  /** Changes facts of a deployment. Ignores unknown ids. */
  update(id: string, change: Partial<Omit<DesiredDeployment, 'id' | 'goal'>>): void {
    const deployment = this.#deployments.get(id);
    if (deployment !== undefined) this.#set({ ...deployment, ...change });
  }

  /**
   * Marks a deployment for its end. One that is to end at once is never drained instead. Ignores unknown
   * ids.
   */
  takeDown(id: string, goal: Exclude<Goal, 'serve'>): void {
    const deployment = this.#deployments.get(id);
    if (deployment !== undefined && deployment.goal !== 'end') this.#set({ ...deployment, goal });
  }

  remove(id: string): void {
    if (this.#deployments.delete(id)) this.#onChange();
  }

  get(id: string): DesiredDeployment | undefined {
    return this.#deployments.get(id);
  }

  list(): readonly DesiredDeployment[] {
    return [...this.#deployments.values()];
  }

  /** Sets the terms of a model; undefined ends those that it has. */
  setScaling(model: string, scaling: ModelScaling | undefined): void {
    if (scaling === undefined) this.#scaling.delete(model);
    else this.#scaling.set(model, scaling);
    this.#onChange();
  }

  /** Returns the terms of a model; undefined where its replicas come and go by hand alone. */
  scalingOf(model: string): ModelScaling | undefined {
    return this.#scaling.get(model);
  }

  scaling(): readonly ModelScaling[] {
    return [...this.#scaling.values()];
  }

  #set(deployment: DesiredDeployment): void {
    this.#deployments.set(deployment.id, deployment);
    this.#onChange();
  }
}
