import type { Card, HeldStage } from '@skein/protocol';

/** A lead of a deployment. One peer may lead several. */
export interface Route {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}

/** The leads that are wanted. Default: any. */
export interface LeadQuery {
  /** SHA-256 of the model that the lead serves. */
  readonly model?: string | undefined;
  /** Leads that are excluded. */
  readonly exclude?: readonly Route[] | undefined;
  /** A lead to choose whatever its load, if it is among the wanted ones. */
  readonly prefer?: Route | undefined;
}

export interface Lead {
  readonly peer: string;
  readonly stage: HeldStage;
}

/**
 * Chooses the ready lead with the least work for its size: the lowest share of active and queued requests in the
 * sequences that it serves at once. Ties go to the lower peer id, so that all members decide alike on the same cards.
 * Returns undefined when no wanted lead is ready.
 */
export function chooseLead(cards: readonly Card[], query: LeadQuery): Lead | undefined {
  let best: Lead | undefined;
  for (const { peer, stages } of cards) {
    for (const stage of stages) {
      const candidate = { peer, stage };
      if (!serves(stage, query) || isAmong(query.exclude, candidate)) continue;
      if (query.prefer !== undefined && isAmong([query.prefer], candidate)) return candidate;
      if (best === undefined || compare(candidate, best) < 0) best = candidate;
    }
  }
  return best;
}

function serves(stage: HeldStage, { model }: LeadQuery): boolean {
  return stage.stage === 0 && stage.state === 'ready' && (model === undefined || stage.model === model);
}

function isAmong(routes: readonly Route[] = [], { peer, stage }: Lead): boolean {
  return routes.some(({ deployment, lead }) => deployment === stage.deployment && lead === peer);
}

function compare(left: Lead, right: Lead): number {
  const difference = load(left.stage) - load(right.stage);
  if (difference !== 0) return difference;
  return left.peer < right.peer ? -1 : 1;
}

function load({ active, queued, sequences }: HeldStage): number {
  return (active + queued) / sequences;
}
