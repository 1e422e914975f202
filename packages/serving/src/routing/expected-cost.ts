import type { Candidate } from './choose-replica.ts';

/**
 * Number of sequences whose decoding takes as long as reading does beside them: each takes a row of every step, and has the
 * step read its cache.
 */
const decodingPerStep = 16;
/**
 * Price of reading a token where all replicas are busy, in times of reading one. By simulation (docs/decisions): from 4 to 12
 * the times to the first token hardly differ, and with 8 most is found in caches that is to be found.
 */
const mostPrice = 8;
/** Tokens of the last chunk of a prompt, which passes the stages one after the other. */
const chunkTokens = 64;

/**
 * Returns the expected time to a request's first token at a replica, in milliseconds: the longer of the wait for what
 * is read before it and the wait for a free sequence, then the reading of what is not cached, and the way there and
 * back. All of it from measured speeds, with the requests that cards do not tell of yet added to those that they do.
 *
 * Prompts are read slower beside many sequences that decode.
 */
export function expectedTtftMs(candidate: Candidate, tokens: number, newTokens: number): number {
  const { replica, unconfirmed } = candidate;
  const { active, sequences, sequenceMs, speed, roundTripMs } = replica;
  if (speed === undefined) return Infinity;
  const slowed = 1 + Math.min(active + unconfirmed.requests, sequences) / decodingPerStep;
  const { msPerToken, passMsPerToken, ringMs } = speed;
  const queueMs = waitingTokens(candidate, tokens) * msPerToken * slowed;
  // Places come free at an even pace, one of `sequences` after a mean hold of each.
  const before = Math.max(0, loadOf(candidate) + 1 - sequences);
  const slotMs = (before * (sequenceMs ?? tokens * msPerToken)) / sequences;
  const readMs = newTokens * msPerToken * slowed + Math.min(newTokens, chunkTokens) * passMsPerToken;
  return Math.max(queueMs, slotMs) + readMs + ringMs + roundTripMs;
}

/**
 * Returns LMetric's cost of a request at a replica (arXiv 2603.15202): tokens of its prompt that are not cached there,
 * times the requests that are there and this one.
 */
export function newTokensTimesLoad(candidate: Candidate, newTokens: number): number {
  return newTokens * (loadOf(candidate) + 1);
}

function loadOf({ replica, unconfirmed }: Candidate): number {
  return replica.active + replica.queued + unconfirmed.requests;
}

/**
 * Looks at all candidates: tells whether the speeds of all are known, and the price of reading a token, in milliseconds
 * that its request would rather wait for a replica that has it. That is 0 where another replica is free. The more of them
 * are busy, the more each token that is read although some cache has it takes from the requests that come after.
 */
export function survey(candidates: readonly Candidate[]): { readonly isTimed: boolean; readonly price: number } {
  let [busy, msPerToken, isTimed] = [0, 0, true];
  for (const candidate of candidates) {
    const { speed } = candidate.replica;
    if (speed === undefined) isTimed = false;
    else msPerToken += speed.msPerToken;
    if (waitingTokens(candidate, 1) > 0) busy += 1;
  }
  const count = candidates.length;
  const pressure = Math.max(0, busy - 1) / Math.max(1, count - 1);
  return { isTimed, price: isTimed && count > 0 ? (mostPrice * pressure * msPerToken) / count : 0 };
}

/** Returns the tokens read before the request's. Leads that do not say have prompts as long as this in their queues. */
function waitingTokens({ replica, unconfirmed }: Candidate, tokens: number): number {
  return (replica.waitingTokens ?? replica.queued * tokens) + unconfirmed.tokens;
}
