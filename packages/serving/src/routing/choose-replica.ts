import type { Labels } from '@skein/protocol';

import { expectedTtftMs, newTokensTimesLoad } from './expected-cost.ts';
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
  /** Tokens of the prompt that replicas are believed to have in their caches, by their keys. Default: none. */
  readonly cached?: ReadonlyMap<string, number> | undefined;
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

export interface Choice {
  readonly candidate: Candidate;
  readonly why: ChoiceReason;
}

const none: ReadonlyMap<string, number> = new Map();

/**
 * Margin within which costs are alike. It covers what estimates are off by, and it spreads the requests of several
 * routers that see the same cards at the same moment.
 */
const margin = 1.05;
/** Costs are alike, too, that differ by no more than this: nobody notices two milliseconds, and links vary by as much. */
const marginMs = 2;

/**
 * Chooses the replica for a request: the one with the least expected time to the first token, at random among those
 * that are alike. Affinity is part of that sum: a replica that holds the beginning of the prompt has less to read, and is
 * left for another one as soon as its queue costs more than that saves. Where the speed of a candidate is unknown,
 * tokens to read times load decides instead (LMetric, arXiv 2603.15202).
 *
 * Returns undefined when no candidate may be chosen.
 *
 * @param random returns a number from 0 up to 1
 */
export function chooseReplica(
  candidates: readonly Candidate[],
  request: RoutedRequest,
  random: () => number,
): Choice | undefined {
  const { exclude = [], prefer, labels, tokens, cached = none } = request;
  const isRestricted = exclude.length > 0 || labels !== undefined;
  const open = isRestricted ? candidates.filter(({ replica }) => mayServe(replica, { exclude, labels })) : candidates;
  const preferred = prefer && open.find(({ replica }) => isAmong([prefer], replica));
  const rule = open.every(({ replica }) => replica.speed !== undefined) ? 'least-ttft' : 'least-work';
  const cachedAt = ({ replica }: Candidate): number => (cached.size === 0 ? 0 : (cached.get(replica.key) ?? 0));
  const costOf = (candidate: Candidate): number => {
    const work = { tokens, newTokens: Math.max(1, tokens - cachedAt(candidate)) };
    return rule === 'least-ttft' ? expectedTtftMs(candidate, work) : newTokensTimesLoad(candidate, work);
  };
  const chosen = (candidate: Candidate, why: Pick<ChoiceReason, 'rule' | 'cost' | 'alike'>): Choice => {
    return { candidate, why: { ...why, cachedTokens: cachedAt(candidate), candidates: open.length } };
  };
  if (preferred !== undefined) return chosen(preferred, { rule: 'preferred', cost: costOf(preferred), alike: 1 });
  const costs = open.map(costOf);
  const least = costs.reduce((least, cost) => Math.min(least, cost), Infinity);
  const most = Math.max(least * margin, rule === 'least-ttft' ? least + marginMs : least);
  const alike = costs.reduce((count, cost) => count + Number(cost <= most), 0);
  let left = Math.floor(random() * alike);
  for (const [index, candidate] of open.entries()) {
    const cost = costs[index] ?? Infinity;
    if (cost > most) continue;
    if (left === 0) return chosen(candidate, { rule, cost, alike });
    left -= 1;
  }
  return undefined;
}

function mayServe(replica: Replica, { exclude = [], labels }: Pick<RoutedRequest, 'exclude' | 'labels'>): boolean {
  return !isAmong(exclude, replica) && (labels === undefined || hasLabels(replica, labels));
}
