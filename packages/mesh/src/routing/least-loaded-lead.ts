import type { Card, HeldStage } from '@skein/protocol';

/** A lead of a deployment. One peer may lead several. */
export interface Route {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}

/** What a lead must serve. All left out: anything. */
export interface LeadWish {
  /** A model's exact name or its SHA-256. */
  readonly model?: string | undefined;
  readonly deployment?: string | undefined;
  /** Leads that are not wanted. */
  readonly besides?: readonly Route[] | undefined;
}

export interface Lead {
  readonly peer: string;
  readonly stage: HeldStage;
}

/**
 * The ready lead with the least work for its size: the lowest share of active and queued requests in the sequences it
 * serves at once. Ties go to the lower peer id, so that all who decide on the same cards decide alike. Undefined when
 * nobody serves the wish.
 */
export function chooseLead(cards: readonly Card[], wish: LeadWish): Lead | undefined {
  let best: Lead | undefined;
  for (const { peer, stages } of cards) {
    for (const stage of stages) {
      if (!serves(stage, wish) || isAmong(wish.besides, { peer, stage })) continue;
      const candidate = { peer, stage };
      if (best === undefined || compare(candidate, best) < 0) best = candidate;
    }
  }
  return best;
}

function serves(stage: HeldStage, { model, deployment }: LeadWish): boolean {
  if (stage.stage !== 0 || stage.state !== 'ready') return false;
  if (deployment !== undefined && stage.deployment !== deployment) return false;
  return model === undefined || stage.name === model || stage.model === model;
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
