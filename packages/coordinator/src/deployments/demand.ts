import type { AdmissionStatus, Card } from '@skein/protocol';

/** The requests for one model at one moment. */
export interface ModelLoad {
  /** Requests that replicas have. */
  readonly running: number;
  /** Requests that wait for a place at one, or for the first one. */
  readonly waiting: number;
  /** Sequences of each ready replica that is no standby. */
  readonly sequences: readonly number[];
}

/** The demand for one model, with the times that decide about its replicas, in milliseconds of a monotonic clock. */
export interface ModelDemand {
  readonly running: number;
  readonly waiting: number;
  /** The last moment at which anybody asked for it, or its first one here. */
  readonly usedAtMs: number;
  /** The moment since which requests have always waited; undefined while none waits. */
  readonly waitingSinceMs: number | undefined;
  /** The moment since which one replica fewer would have done; undefined while it would not, or there is none. */
  readonly spareSinceMs: number | undefined;
}

/** Requests that a lead may have waiting without being short of places: admission sends so many ahead. */
const aheadPerReplica = 2;

/**
 * Counts the requests for each model: those that pass here, and those that leads have of others. A request that passes
 * here and is shown by a lead counts once.
 *
 * @param asking number of callers that wait for a first replica, by model
 */
export function loadsOf(
  cards: readonly Card[],
  admission: readonly AdmissionStatus[],
  asking: ReadonlyMap<string, number>,
): ReadonlyMap<string, ModelLoad> {
  const leads = cards.flatMap(({ stages }) => stages.filter(({ stage }) => stage === 0));
  const models = new Set([...leads, ...admission].map(({ model }) => model).concat([...asking.keys()]));
  const loadOf = (model: string): ModelLoad => {
    const own = leads.filter((lead) => lead.model === model);
    const queues = admission.filter((queue) => queue.model === model);
    const active = sumOf(own, (lead) => lead.active);
    const queued = sumOf(own, (lead) => lead.queued);
    const serving = own.filter(({ standby }) => standby !== true);
    const ahead = serving.length * aheadPerReplica;
    return {
      running: Math.max(
        active + Math.min(queued, ahead),
        sumOf(queues, ({ admitted }) => admitted),
      ),
      waiting: sumOf(queues, ({ waiting }) => waiting) + (asking.get(model) ?? 0) + Math.max(0, queued - ahead),
      sequences: serving.filter(({ state }) => state === 'ready').map(({ sequences }) => sequences),
    };
  };
  return new Map([...models].map((model) => [model, loadOf(model)]));
}

/** The demand for each model over time, as far as decisions about replicas need it. */
export class DemandHistory {
  #demand = new Map<string, ModelDemand & { readonly replicas: number }>();

  /** Takes note of one request for a model that is known, however soon it is over. */
  use(model: string, nowMs: number): void {
    const demand = this.#demand.get(model);
    if (demand !== undefined)
      this.#demand.set(model, {
        ...demand,
        usedAtMs: nowMs,
        spareSinceMs: demand.replicas > 1 ? demand.spareSinceMs : undefined,
      });
  }

  /**
   * Takes note of the requests at a moment, and returns the demand for each model.
   *
   * @param desired SHA-256 of models that are to be known, whether anybody asks for them or not
   */
  observe(
    loads: ReadonlyMap<string, ModelLoad>,
    desired: Iterable<string>,
    nowMs: number,
  ): ReadonlyMap<string, ModelDemand> {
    const models = new Set([...desired, ...loads.keys()]);
    this.#demand = new Map([...models].map((model) => [model, this.#next(model, loads.get(model) ?? none, nowMs)]));
    return this.#demand;
  }

  #next(model: string, { running, waiting, sequences }: ModelLoad, nowMs: number) {
    const before = this.#demand.get(model);
    const isUsed = running + waiting > 0;
    const withOneFewer = sumOf(sequences, (one) => one) - Math.max(0, ...sequences);
    const isSpare = sequences.length > 0 && running + waiting <= withOneFewer;
    const isAsBefore = before?.replicas === sequences.length;
    return {
      running,
      waiting,
      replicas: sequences.length,
      usedAtMs: isUsed ? nowMs : (before?.usedAtMs ?? nowMs),
      waitingSinceMs: waiting > 0 ? (before?.waitingSinceMs ?? nowMs) : undefined,
      spareSinceMs: isSpare ? ((isAsBefore ? before.spareSinceMs : undefined) ?? nowMs) : undefined,
    };
  }
}

const none: ModelLoad = { running: 0, waiting: 0, sequences: [] };

function sumOf<Item>(items: readonly Item[], amountOf: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + amountOf(item), 0);
}
