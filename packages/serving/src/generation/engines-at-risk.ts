/**
 * Most engines that may have died over a request where it may have been the cause: the first that it is tried on, and
 * one other. A request that makes engines crash must not reach every replica, nor replicas that are deployed anew.
 */
const maxSuspicions = 2;
/** Most engines that may die over a request in all, whatever the cause. */
const maxDeaths = 4;

/**
 * The deployments that work on a request, and those in which an engine died over it. All choices of a request share one
 * such object.
 *
 * A request that makes engines die does so at the same place each time, since its answer is computed again token by
 * token. So a death is no suspicion any more once the answer has grown past its place on another engine: see
 * {@link acquit}.
 */
export class EnginesAtRisk {
  readonly #dead = new Set<string>();
  /** Choices that each engine may have died of, by deployment. */
  readonly #suspects = new Map<string, Set<object>>();
  /** Number of choices at each deployment. */
  readonly #entered = new Map<string, number>();
  #rebuilds = 0;

  /**
   * Enters a deployment with one choice, until the returned object is disposed. Returns undefined when that would be
   * one deployment too many.
   */
  enter(deployment: string): Disposable | undefined {
    const risked = new Set([...this.#suspects.keys(), ...this.#entered.keys(), deployment]);
    const mayHaveDied = new Set([...this.#dead, ...this.#entered.keys(), deployment]);
    if (risked.size > maxSuspicions || mayHaveDied.size > maxDeaths) return undefined;
    if (this.#dead.has(deployment) || this.areSpent) return undefined;
    this.#entered.set(deployment, (this.#entered.get(deployment) ?? 0) + 1);
    return { [Symbol.dispose]: () => this.#leave(deployment) };
  }

  /** Notes that an engine of a deployment died while this choice was there. */
  died(deployment: string, choice: object): void {
    this.#dead.add(deployment);
    this.#suspects.set(deployment, (this.#suspects.get(deployment) ?? new Set()).add(choice));
  }

  /** Notes that a choice has been computed past the places at which engines died over it. */
  acquit(choice: object): void {
    for (const [deployment, choices] of this.#suspects) {
      choices.delete(choice);
      if (choices.size === 0) this.#suspects.delete(deployment);
    }
  }

  /**
   * Notes that a deployment has a new engine in place of each that died: it may be entered again. Those that died count as
   * before.
   */
  rebuilt(deployment: string): void {
    if (!this.#dead.delete(deployment)) return;
    const former = `${deployment}, death ${(this.#rebuilds += 1)}`;
    this.#dead.add(former);
    const suspects = this.#suspects.get(deployment);
    this.#suspects.delete(deployment);
    if (suspects !== undefined) this.#suspects.set(former, suspects);
  }

  /** Deployments in which an engine died, and was not replaced. */
  get dead(): ReadonlySet<string> {
    return this.#dead;
  }

  /** Tells whether as many engines died as one request may cost. */
  get areSpent(): boolean {
    return this.#suspects.size >= maxSuspicions || this.#dead.size >= maxDeaths;
  }

  #leave(deployment: string): void {
    const left = (this.#entered.get(deployment) ?? 1) - 1;
    if (left === 0) this.#entered.delete(deployment);
    else this.#entered.set(deployment, left);
  }
}
