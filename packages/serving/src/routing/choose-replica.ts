import { invariant, type Labels } from '@skein/protocol';

import type { Candidate, Candidates } from './candidates.ts';
import { expectedTtftMs, newTokensTimesLoad, priceOf, rowLength, sumUp } from './expected-cost.ts';
import { hasLabels, type Replica } from './replica.ts';
import { isAmong, type Route } from './route.ts';

/** The part of a request that decides where it goes. */
export interface RoutedRequest {
  /** Tokens of the prompt, as far as they are known: see `TokenEstimate`. */
  readonly tokens: number;
  /** Labels that every machine of the replica has to have. Default: none. */
  readonly labels?: Labels | undefined;
  /** Leads that are excluded. Default: none. */
  readonly exclude?: readonly Route[] | undefined;
  /** A lead to choose if it is among the candidates and has a free sequence. Default: none. */
  readonly prefer?: Route | undefined;
  /** Whether it is the rest of an answer that has lost its replica. Default: false. */
  readonly isRest?: boolean | undefined;
}

/** The reason for a choice. */
export interface ChoiceReason {
  /**
   * `least-ttft`: by the expected time to the first token; `least-work`: by new tokens times load, since some speed is
   * unknown; `preferred`: it was asked for, and has a free sequence.
   */
  readonly rule: 'least-ttft' | 'least-work' | 'preferred';
  /** Cost by that rule: milliseconds, or tokens. */
  readonly cost: number;
  readonly cachedTokens: number;
  /** Number of replicas that could have been chosen. */
  readonly candidates: number;
  /** Number of those, this one included, that cost as little within the margin. It was the better of two that were drawn. */
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
 * Chooses the replica for a request: the one with the least expected time to the first token; of those that are alike
 * and hold as much of the prompt, the better one of two that are drawn. Affinity is part of that sum: a replica that holds
 * the beginning of the prompt has less to read, and is left for another one as soon as its queue costs more than that
 * saves. Where replicas are busy, reading has a price beside its time (`priceOf`). Where the speed of a candidate is
 * unknown, tokens to read times load decides instead (LMetric, arXiv 2603.15202). A standby is chosen where no other
 * replica may be, and for the rest of an answer like any other. A preferred lead that is full counts as any other does: the
 * streams of one lost replica may all prefer the same, and would wait there while others have nothing to do.
 *
 * Returns undefined when no candidate may be chosen.
 *
 * @param options.cachedAt returns the tokens of the prompt that a replica is believed to have in its cache
 * @param options.isLost tells whether a replica is known to be lost. Default: none is
 * @param options.random returns a number from 0 up to 1
 */
export function chooseReplica<C extends Candidate>(
  candidates: Candidates<C>,
  request: RoutedRequest,
  options: {
    readonly cachedAt: (candidate: C) => number;
    readonly isLost?: ((replica: Replica) => boolean) | undefined;
    readonly random: () => number;
  },
): Choice<C> | undefined {
  const { all, rows } = candidates;
  const { prefer, tokens } = request;
  const { cachedAt, random } = options;
  const closed = closedAmong(candidates, request, options.isLost);
  const sums = closed === undefined ? candidates.sums : sumUp(rows, closed);
  const isTimed = sums.unknown === 0;
  const price = isTimed ? priceOf(sums) : 0;
  const costAt = (nth: number, newTokens: number): number =>
    isTimed
      ? expectedTtftMs(rows, nth * rowLength, tokens, newTokens)
      : newTokensTimesLoad(rows, nth * rowLength, newTokens);
  const choiceOf = (nth: number, rule: ChoiceReason['rule'], alike: number): Choice<C> | undefined => {
    const candidate = all[nth];
    if (candidate === undefined) return undefined;
    const cachedTokens = cachedAt(candidate);
    const cost = costAt(nth, Math.max(1, tokens - cachedTokens));
    return { candidate, why: { rule, cost, cachedTokens, candidates: sums.count, alike } };
  };
  if (prefer !== undefined) {
    const preferred = all.findIndex(({ replica }, nth) => closed?.[nth] !== 1 && isAmong([prefer], replica));
    if (all[preferred] !== undefined && hasFreeSequence(all[preferred])) return choiceOf(preferred, 'preferred', 1);
  }
  // Plain loops over numbers: there may be a thousand candidates.
  const costs = candidates.scratch();
  let least = Infinity;
  let leastCost = Infinity;
  for (let nth = 0; nth < all.length; nth += 1) {
    const candidate = all[nth];
    if (candidate === undefined || closed?.[nth] === 1) {
      costs[nth] = Infinity;
      continue;
    }
    const newTokens = Math.max(1, tokens - cachedAt(candidate));
    const row = nth * rowLength;
    const cost = isTimed ? expectedTtftMs(rows, row, tokens, newTokens) : newTokensTimesLoad(rows, row, newTokens);
    const priced = cost + price * newTokens;
    costs[nth] = priced;
    if (priced >= least) continue;
    least = priced;
    leastCost = cost;
  }
  if (least === Infinity) return undefined;
  const most = least + Math.max(leastCost * margin, isTimed ? marginMs : 0);
  let mostCached = 0;
  let alike: number[] = [];
  for (let nth = 0; nth < all.length; nth += 1) {
    const candidate = (costs[nth] ?? Infinity) <= most ? all[nth] : undefined;
    if (candidate === undefined) continue;
    const cached = cachedAt(candidate);
    if (cached > mostCached) alike = [];
    mostCached = Math.max(mostCached, cached);
    if (cached === mostCached) alike.push(nth);
  }
  const draw = (): number =>
    invariant(alike[Math.floor(random() * alike.length)], 'the one that costs least is like itself');
  // The better one of two: as well spread where costs are equal, and nearer to the least where they are not.
  const [one, other] = [draw(), draw()];
  const drawn = (costs[other] ?? Infinity) < (costs[one] ?? Infinity) ? other : one;
  return choiceOf(drawn, isTimed ? 'least-ttft' : 'least-work', alike.length);
}

function hasFreeSequence({ replica, unconfirmed }: Candidate): boolean {
  return replica.active + replica.queued + unconfirmed.requests < replica.sequences;
}

/**
 * Marks the candidates that may not be chosen with 1. Those are, but for the rest of an answer, the standbys, too, where any
 * other may be chosen. Returns undefined where all may.
 */
export function closedAmong<C extends Candidate>(
  { all, standbys }: Candidates<C>,
  { exclude = [], labels, isRest = false }: Omit<RoutedRequest, 'tokens' | 'prefer'>,
  isLost?: (replica: Replica) => boolean,
): Uint8Array | undefined {
  const areAside = standbys.size > 0 && !isRest;
  if (exclude.length === 0 && labels === undefined && isLost === undefined && !areAside) return undefined;
  const closed = Uint8Array.from(all, ({ replica }) => {
    const isOpen =
      !isAmong(exclude, replica) && (labels === undefined || hasLabels(replica, labels)) && isLost?.(replica) !== true;
    return isOpen ? 0 : 1;
  });
  if (!areAside || !all.some((one, nth) => closed[nth] === 0 && !standbys.has(one))) return closed;
  return closed.map((isClosed, nth) => (all[nth]?.replica.isStandby === true ? 1 : isClosed));
}
