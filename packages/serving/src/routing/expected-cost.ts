import type { Candidate } from './candidates.ts';

/**
 * Number of sequences whose decoding takes as long as reading does beside them: each takes a row of every step, and has the
 * step read its cache.
 */
const decodingPerStep = 16;
/**
 * Price of reading a token where many replicas are busy, in times of reading one, and the share of busy ones from which it is
 * no higher. By simulation (docs/decisions/0016): a lower one finds less in caches than other routers, a higher one makes
 * requests wait for longer than other routers do while the fleet has little to do.
 */
const mostPrice = 20;
const manyBusy = 1 / 3;
/** Tokens of the last chunk of a prompt, which passes the stages one after the other. */
const chunkTokens = 64;

/**
 * The figures of a replica that costs are made of, side by side in one array, as offsets from its row. All but the
 * request's own tokens is in them, so that a thousand replicas are compared in microseconds.
 */
const column = {
  /** Time to read a token, beside what decodes there. NaN where a stage's speed is unknown. */
  readMs: 0,
  /** The same where nothing decodes. */
  msPerToken: 1,
  passMsPerToken: 2,
  /** Time on the links, of the ring and to the lead and back. */
  linkMs: 3,
  /** Wait for a free sequence. */
  slotMs: 4,
  /** The same for each token of the request, where nobody knows how long sequences run: as long as reading it takes. */
  slotMsPerToken: 5,
  /** Tokens that are read before the request. */
  waitingTokens: 6,
  /** Prompts that are read before it, of which the lead does not say how long they are: as long as this one. */
  waitingPrompts: 7,
  /** Requests that are there. */
  load: 8,
} as const;
/** Number of figures of a replica. */
export const rowLength = Object.keys(column).length;

/** Writes the figures of a replica to its row: those of its cards, and the requests that they do not tell of yet. */
export function writeRow(rows: Float64Array, row: number, { replica, unconfirmed }: Candidate): void {
  const { active, queued, sequences, sequenceMs, speed, roundTripMs, waitingTokens } = replica;
  const { msPerToken = NaN, passMsPerToken = NaN, ringMs = NaN } = speed ?? {};
  const load = active + queued + unconfirmed.requests;
  // Prompts are read slower beside many sequences that decode.
  const slowed = 1 + Math.min(active + unconfirmed.requests, sequences) / decodingPerStep;
  // Places come free at an even pace, one of `sequences` after a mean hold of each.
  const before = Math.max(0, load + 1 - sequences) / sequences;
  rows[row + column.readMs] = msPerToken * slowed;
  rows[row + column.msPerToken] = msPerToken;
  rows[row + column.passMsPerToken] = passMsPerToken;
  rows[row + column.linkMs] = ringMs + roundTripMs;
  rows[row + column.slotMs] = sequenceMs === undefined ? 0 : before * sequenceMs;
  rows[row + column.slotMsPerToken] = sequenceMs === undefined ? before * msPerToken : 0;
  rows[row + column.waitingTokens] = (waitingTokens ?? 0) + unconfirmed.tokens;
  rows[row + column.waitingPrompts] = waitingTokens === undefined ? queued : 0;
  rows[row + column.load] = load;
}

/**
 * Returns the expected time to a request's first token at a replica, in milliseconds: the longer of the wait for what
 * is read before it and the wait for a free sequence, then the reading of what is not cached, and the way there and
 * back. All of it from measured speeds.
 */
export function expectedTtftMs(rows: Float64Array, row: number, tokens: number, newTokens: number): number {
  const readMs = at(rows, row + column.readMs);
  const queueMs = waitingTokens(rows, row, tokens) * readMs;
  const slotMs = at(rows, row + column.slotMs) + tokens * at(rows, row + column.slotMsPerToken);
  const passMs = Math.min(newTokens, chunkTokens) * at(rows, row + column.passMsPerToken);
  return Math.max(queueMs, slotMs) + newTokens * readMs + passMs + at(rows, row + column.linkMs);
}

/**
 * Returns LMetric's cost of a request at a replica (arXiv 2603.15202): tokens of its prompt that are not cached there,
 * times the requests that are there and this one.
 */
export function newTokensTimesLoad(rows: Float64Array, row: number, newTokens: number): number {
  return newTokens * (at(rows, row + column.load) + 1);
}

/** Sums over candidates. */
export interface Sums {
  count: number;
  /** Those of which a stage's speed is unknown. */
  unknown: number;
  /** Those that have something to read. */
  busy: number;
  /** Times to read a token, of those whose speeds are known. */
  msPerToken: number;
}

/** Adds a candidate's row to sums, or takes it out of them. */
export function addRow(sums: Sums, rows: Float64Array, row: number, sign: 1 | -1): void {
  const msPerToken = at(rows, row + column.msPerToken);
  sums.count += sign;
  if (waitingTokens(rows, row, 1) > 0) sums.busy += sign;
  if (Number.isNaN(msPerToken)) sums.unknown += sign;
  else sums.msPerToken += sign * msPerToken;
}

/** Sums up the candidates that are not marked with 1. */
export function sumUp(rows: Float64Array, closed: Uint8Array): Sums {
  const sums: Sums = { count: 0, unknown: 0, busy: 0, msPerToken: 0 };
  for (const [nth, isClosed] of closed.entries()) if (isClosed === 0) addRow(sums, rows, nth * rowLength, 1);
  return sums;
}

/**
 * Returns the price of reading a token, in milliseconds that its request would rather wait for a replica that has it. That
 * is 0 where no more than one replica is busy. The more of them are, the more each token that is read although some cache
 * has it takes from the requests that come after.
 */
export function priceOf({ count, busy, msPerToken }: Sums): number {
  const pressure = Math.min(1, Math.max(0, busy - 1) / Math.max(1, count - 1) / manyBusy);
  return count === 0 ? 0 : (mostPrice * pressure * msPerToken) / count;
}

/** Returns the tokens read before the request's. */
function waitingTokens(rows: Float64Array, row: number, tokens: number): number {
  return at(rows, row + column.waitingTokens) + tokens * at(rows, row + column.waitingPrompts);
}

function at(rows: Float64Array, place: number): number {
  return rows[place] ?? NaN;
}
