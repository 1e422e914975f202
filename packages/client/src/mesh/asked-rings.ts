import type { EnginesAtRisk, FailedAttempt, Replicas, Route } from '@skein/serving';

/**
 * The rings that one request was sent to. A split replica that has lost a stage, and has it again, has another ring: it may
 * be asked once more, though it failed before.
 */
export class AskedRings {
  readonly #replicas: Pick<Replicas, 'ringsOf'>;
  readonly #engines: Pick<EnginesAtRisk, 'rebuilt'>;
  /** Numbers of the rings, by deployment. */
  readonly #rings = new Map<string, number | undefined>();

  constructor(replicas: Pick<Replicas, 'ringsOf'>, engines: Pick<EnginesAtRisk, 'rebuilt'>) {
    this.#replicas = replicas;
    this.#engines = engines;
  }

  /** Notes a replica that is to be asked. */
  add({ deployment, lead }: Route): void {
    this.#rings.set(deployment, this.#replicas.ringsOf(deployment).get(lead));
  }

  /** Returns the failed attempts whose replicas are still those that failed. */
  stillLost(failed: readonly FailedAttempt[]): readonly FailedAttempt[] {
    return failed.filter(({ deployment }) => {
      const asked = this.#rings.get(deployment);
      const isRebuilt = [...this.#replicas.ringsOf(deployment).values()].some((ring) => ring !== asked);
      if (asked === undefined || !isRebuilt) return true;
      this.#engines.rebuilt(deployment);
      return false;
    });
  }
}
