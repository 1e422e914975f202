import type { DeploymentSpec } from '@skein/protocol';

/**
 * The end that a deployment is to come to: `serve` until it is lost, `drain` its answers and end, `hand-over` those that
 * can go on elsewhere, drain the rest and end, or `end` at once.
 */
export type Goal = 'serve' | 'drain' | 'hand-over' | 'end';

/** One deployment as somebody asked for it. Plain data. */
export interface DesiredDeployment {
  readonly id: string;
  readonly spec: DeploymentSpec;
  readonly goal: Goal;
  /** Whether it replaces a lost one: it gets less than its spec where there is no room for all of it any more. */
  readonly isReplacement: boolean;
}

/**
 * The desired state: the requested deployments, in the order of their requests. A lost one stays, so that its spec is
 * known to the request that replaces it, until it is replaced or taken down.
 */
export class DesiredState {
  readonly #deployments = new Map<string, DesiredDeployment>();

  /** Adds a deployment that is to serve. */
  add(deployment: Omit<DesiredDeployment, 'goal'>): void {
    this.#deployments.set(deployment.id, { ...deployment, goal: 'serve' });
  }

  /**
   * Marks a deployment for its end. One that is to end at once is never drained instead. Ignores unknown
   * ids.
   */
  takeDown(id: string, goal: Exclude<Goal, 'serve'>): void {
    const deployment = this.#deployments.get(id);
    if (deployment !== undefined && deployment.goal !== 'end') this.#deployments.set(id, { ...deployment, goal });
  }

  remove(id: string): void {
    this.#deployments.delete(id);
  }

  get(id: string): DesiredDeployment | undefined {
    return this.#deployments.get(id);
  }

  list(): readonly DesiredDeployment[] {
    return [...this.#deployments.values()];
  }
}
