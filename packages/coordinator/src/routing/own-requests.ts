import type { Card } from '@skein/protocol';

/**
 * How many requests this router has at each replica. Cards tell of them a moment later: requests that come together would
 * all go to the replica that was idle when the first of them came.
 */
export class OwnRequests {
  readonly #counts = new Map<string, number>();

  /** Counts one more at a deployment, until it is released. Releasing twice does nothing. */
  add(deployment: string): () => void {
    this.#counts.set(deployment, (this.#counts.get(deployment) ?? 0) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const left = (this.#counts.get(deployment) ?? 1) - 1;
      if (left === 0) this.#counts.delete(deployment);
      else this.#counts.set(deployment, left);
    };
  }

  /** The cards with at least so many active requests at a lead as were sent there from here. */
  addTo(cards: readonly Card[]): Card[] {
    return cards.map((card) => ({
      ...card,
      stages: card.stages.map((stage) => {
        const own = stage.stage === 0 ? (this.#counts.get(stage.deployment) ?? 0) : 0;
        return { ...stage, active: Math.max(stage.active, own - stage.queued) };
      }),
    }));
  }
}
