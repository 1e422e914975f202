/**
 * Most engines that one request may cost: the first that it is tried on, and one other. A request that makes engines
 * crash must not reach every replica, nor replicas that are deployed anew.
 */
const maxEngines = 2;

/**
 * The deployments that work on a request, and those in which an engine died over it, never more than two together. All
 * choices of a request share one such object.
 */
export class EnginesAtRisk {
  readonly #dead = new Set<string>();
  /** Number of choices at each deployment. */
  readonly #entered = new Map<string, number>();

  /**
   * Enters a deployment with one choice, until the returned object is disposed. Returns undefined when that would be
   * one deployment too many.
   */
  enter(deployment: string): Disposable | undefined {
    const risked = new Set([...this.#dead, ...this.#entered.keys(), deployment]);
    if (risked.size > maxEngines || this.#dead.has(deployment)) return undefined;
    this.#entered.set(deployment, (this.#entered.get(deployment) ?? 0) + 1);
    return { [Symbol.dispose]: () => this.#leave(deployment) };
  }

  /** Notes that an engine of a deployment died while this request was there. */
  died(deployment: string): void {
    this.#dead.add(deployment);
  }

  /** Deployments in which an engine died. */
  get dead(): ReadonlySet<string> {
    return this.#dead;
  }

  /** Tells whether as many engines died as one request may cost. */
  get areSpent(): boolean {
    return this.#dead.size >= maxEngines;
  }

  #leave(deployment: string): void {
    const left = (this.#entered.get(deployment) ?? 1) - 1;
    if (left === 0) this.#entered.delete(deployment);
    else this.#entered.set(deployment, left);
  }
}
