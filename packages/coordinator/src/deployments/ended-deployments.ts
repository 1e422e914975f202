import type { Mesh } from '@skein/mesh';

export interface EndedDeploymentsComponents {
  readonly mesh: { readonly cards: Pick<Mesh['cards'], 'snapshot'> };
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Time for which an ended deployment is remembered: ten times the life of a card of which nothing new is heard, so that
 * no older one is on its way then.
 */
const rememberedMs = 60_000;

/**
 * Ids of deployments that are over, so that an earlier card does not bring them back. Each is remembered for a minute,
 * and for as long as a card still shows it.
 */
export class EndedDeployments {
  readonly #components: EndedDeploymentsComponents;
  readonly #ended = new Map<string, { readonly endedAt: number; readonly wasTakenDown: boolean }>();

  constructor(components: EndedDeploymentsComponents) {
    this.#components = components;
  }

  /** @param options.wasTakenDown whether somebody wanted it to end, rather than that it was lost */
  add(id: string, { wasTakenDown }: { readonly wasTakenDown: boolean }): void {
    this.#forget();
    this.#ended.set(id, { endedAt: this.#components.now(), wasTakenDown });
  }

  has(id: string): boolean {
    return this.#ended.has(id);
  }

  /** Tells whether somebody took a deployment down. */
  wasTakenDown(id: string): boolean {
    return this.#ended.get(id)?.wasTakenDown === true;
  }

  #forget(): void {
    const now = this.#components.now();
    const cards = this.#components.mesh.cards.snapshot();
    const shown = new Set(cards.flatMap(({ stages }) => stages.map(({ deployment }) => deployment)));
    for (const [id, { endedAt }] of this.#ended) {
      if (now - endedAt > rememberedMs && !shown.has(id)) this.#ended.delete(id);
    }
  }
}
