import type { Card } from '@skein/protocol';

import { chooseLead, type LeadQuery, type Route } from './least-loaded-lead.ts';

/** A replica taken for one attempt. Disposing it ends the attempt. */
export interface Attempt extends Route, Disposable {}

export interface ReplicasOptions {
  /** The newest cards of all members. */
  readonly cards: () => readonly Card[];
  /** Tells whether a deployment may still serve: its owner knows earlier than the cards show. Default: always true. */
  readonly mayServe?: (deployment: string) => boolean;
}

/**
 * The replicas as this member sees them: those on the cards, without those that it knows to be lost, and with its own
 * requests in flight. Cards show these a moment later, so requests that come together would all go to one replica.
 */
export class Replicas {
  readonly #options: ReplicasOptions;
  /** Requests in flight, by deployment. */
  readonly #inFlight = new Map<string, number>();

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /**
   * Returns the cards with the stages that may serve. A lead counts at least as many active requests as this member
   * sent it.
   *
   * @param lost further deployments to leave out
   */
  snapshot(lost: ReadonlySet<string> = new Set()): Card[] {
    const { cards, mayServe = () => true } = this.#options;
    return cards().map((card) => ({
      ...card,
      stages: card.stages
        .filter(({ deployment }) => mayServe(deployment) && !lost.has(deployment))
        .map((stage) => {
          const own = stage.stage === 0 ? (this.#inFlight.get(stage.deployment) ?? 0) : 0;
          return { ...stage, active: Math.max(stage.active, own - stage.queued) };
        }),
    }));
  }

  /** Chooses the best replica, by the policy of {@link chooseLead}. Returns undefined when none is ready. */
  choose({ lost, ...query }: LeadQuery & { readonly lost?: ReadonlySet<string> | undefined }): Route | undefined {
    const found = chooseLead(this.snapshot(lost), query);
    return found && { deployment: found.stage.deployment, lead: found.peer };
  }

  /** Counts a request in flight at a replica until the attempt is disposed. */
  take({ deployment, lead }: Route): Attempt {
    this.#inFlight.set(deployment, (this.#inFlight.get(deployment) ?? 0) + 1);
    let isOver = false;
    return {
      deployment,
      lead,
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        const left = (this.#inFlight.get(deployment) ?? 1) - 1;
        if (left === 0) this.#inFlight.delete(deployment);
        else this.#inFlight.set(deployment, left);
      },
    };
  }
}
