import type { Labels } from '@skein/protocol';

import { expectedTtftMs, newTokensTimesLoad, survey } from './expected-cost.ts';
import { hasLabels, type Replica } from './replica.ts';
import { isAmong, type Route } from './route.ts';

/** Requests that this member has sent to a replica and that no card tells of yet. */
export interface Unconfirmed {
  readonly requests: number;
  /** Tokens of their prompts that the replica has to read. */
  readonly tokens: number;
}

/** A replica with what the cards do not say of it. */
export interface Candidate {
  readonly replica: Replica;
  readonly unconfirmed: Unconfirmed;
}

/** The part of a request that decides where it goes. */
export interface RoutedRequest {
  /** Tokens of the prompt, as far as they are known: see `TokenEstimate`. */
  readonly tokens: number;
  /** Labels that every machine of the replica has to have. Default: none. */
  readonly labels?: Labels | undefined;
  /** Leads that are excluded. Default: none. */
  readonly exclude?: readonly Route[] | undefined;
  /** A lead to choose whatever its load, if it is among the candidates. Default: none. */
  readonly prefer?: Route | undefined;
}

/** The reason for a choice. */
export interface ChoiceReason {
  /**
   * `least-ttft`: by the expected time to the first token; `least-work`: by new tokens times load, since some speed is
   * unknown; `preferred`: it was asked for.
   */
  readonly rule: 'least-ttft' | 'least-work' | 'preferred';
  /** Cost by that rule: milliseconds, or tokens. */
  readonly cost: number;
  readonly cachedTokens: number;
  /** Number of replicas that could have been chosen. */
  readonly candidates: number;
  /** Number of those, this one included, that cost as little within the margin. One of them was drawn. */
  readonly alike: number;
}

export interface Choice<C extends Candidate = Candidate> {
  readonly candidate: C;
  readonly why: ChoiceReason;
}

/**
 * Margin within which costs are alike, as a share. It covers what estimates are off by, and it spreads the requests of several
 * routers that see the same cards at the same moment.
 */
const margin = 0.05;
/** Costs are alike, too, that differ by no more than this: nobody notices two milliseconds, and links vary by as much. */
const marginMs = 2;

/**
 * Chooses the replica for a request: the one with the least expected time to the first token, at random among those
 * that are alike and hold as much of the prompt. Affinity is part of that sum: a replica that holds the beginning of the
 * prompt has less to read, and is left for another one as soon as its queue costs more than that saves. Where most
 * replicas are busy, reading has a price beside its time (`survey`). Where the speed of a candidate is unknown,
 * tokens to read times load decides instead (LMetric, arXiv 2603.15202).
 *
 * Returns undefined when no candidate may be chosen.
 *
 * @param cachedAt returns the tokens of the prompt that a replica is believed to have in its cache
 * @param random returns a number from 0 up to 1
 */
export function chooseReplica<C extends Candidate>(
  candidates: readonly C[],
  request: RoutedRequest,
  { cachedAt, random }: { readonly cachedAt: (candidate: C) => number; readonly random: () => number },
): Choice<C> | undefined {
  const { exclude = [], prefer, labels, tokens } = request;
  const isRestricted = exclude.length > 0 || labels !== undefined;
  const open = isRestricted ? candidates.filter(({ replica }) => mayServe(replica, { exclude, labels })) : candidates;
  const preferred = prefer && open.find(({ replica }) => isAmong([prefer], replica));
  const { isTimed, price } = survey(open);
  const rule = isTimed ? 'least-ttft' : 'least-work';
  const newTokensAt = (candidate: C): number => Math.max(1, tokens - cachedAt(candidate));
  const costOf = (candidate: C, newTokens: number): number =>
    isTimed ? expectedTtftMs(candidate, tokens, newTokens) : newTokensTimesLoad(candidate, newTokens);
  const chosen = (candidate: C, why: Pick<ChoiceReason, 'rule' | 'cost' | 'alike'>): Choice<C> => {
    return { candidate, why: { ...why, cachedTokens: cachedAt(candidate), candidates: open.length } };
  };
  if (preferred !== undefined) {
    const cost = costOf(preferred, newTokensAt(preferred));
    return chosen(preferred, { rule: 'preferred', cost, alike: 1 });
  }
  // Plain loops over numbers: there may be a thousand candidates.
  const costs = new Float64Array(open.length);
  let least = Infinity;
  let leastCost = Infinity;
  let index = 0;
  for (const candidate of open) {
    const newTokens = newTokensAt(candidate);
    const cost = costOf(candidate, newTokens);
    const priced = cost + price * newTokens;
    costs[index] = priced;
    index += 1;
    if (priced >= least) continue;
    least = priced;
    leastCost = cost;
  }
  const most = least + Math.max(leastCost * margin, isTimed ? marginMs : 0);
  let mostCached = 0;
  let alike: C[] = [];
  index = 0;
  for (const candidate of open) {
    const isNear = (costs[index] ?? Infinity) <= most;
    index += 1;
    if (!isNear) continue;
    const cached = cachedAt(candidate);
    if (cached > mostCached) alike = [];
    mostCached = Math.max(mostCached, cached);
    if (cached === mostCached) alike.push(candidate);
  }
  const candidate = alike[Math.floor(random() * alike.length)];
  return candidate && chosen(candidate, { rule, cost: costOf(candidate, newTokensAt(candidate)), alike: alike.length });
}

function mayServe(replica: Replica, { exclude = [], labels }: Pick<RoutedRequest, 'exclude' | 'labels'>): boolean {
  return !isAmong(exclude, replica) && (labels === undefined || hasLabels(replica, labels));
}
