import type { Candidate } from './choose-replica.ts';

/** Rows of a micro-batch that decoding sequences and prompts share. */
const rowsPerStep = 64;
/** Tokens of the last chunk of a prompt, which passes the stages one after the other. */
const chunkTokens = 64;

/** Tokens of a request's prompt at a replica. */
export interface PromptWork {
  readonly tokens: number;
  /** Tokens that it has to read: one at least, which gives the first token. */
  readonly newTokens: number;
}

/**
 * Returns the expected time to a request's first token at a replica, in milliseconds: the longer of the wait for what
 * is read before it and the wait for a free sequence, then the reading of what is not cached, and the way there and
 * back. All of it from measured speeds, with the requests that cards do not tell of yet added to those that they do.
 *
 * Each sequence that decodes takes a row of every step, so prompts are read slower beside many.
 */
export function expectedTtftMs(candidate: Candidate, { tokens, newTokens }: PromptWork): number {
  const { replica, unconfirmed } = candidate;
  const { active, sequences, sequenceMs, speed, roundTripMs } = replica;
  if (speed === undefined) return Infinity;
  const slowed = 1 + Math.min(active + unconfirmed.requests, sequences) / rowsPerStep;
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
export function newTokensTimesLoad(candidate: Candidate, { newTokens }: PromptWork): number {
  return newTokens * (loadOf(candidate) + 1);
}

function loadOf({ replica, unconfirmed }: Candidate): number {
  return replica.active + replica.queued + unconfirmed.requests;
}

/** Returns the tokens read before the request's. Leads that do not say have prompts as long as this in their queues. */
function waitingTokens({ replica, unconfirmed }: Candidate, tokens: number): number {
  return (replica.waitingTokens ?? replica.queued * tokens) + unconfirmed.tokens;
}
