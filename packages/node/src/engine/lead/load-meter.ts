/** The work of a lead, as its card tells routers. */
export interface LeadLoad {
  /** Sequences that run. */
  readonly active: number;
  /** Sequences that wait. */
  readonly queued: number;
  /** Prompt tokens of both that have yet to be read, rounded up to four binary digits. */
  readonly waitingTokens: number;
  /** Mean time for which a sequence runs, in milliseconds. Undefined before one has ended. */
  readonly sequenceMs?: number | undefined;
  /**
   * Decode speed of a sequence that ran alone, without draft tokens, mean of the last ones. Undefined before one has run
   * so.
   */
  readonly tokensPerSecond?: number | undefined;
}

/** Weight of the newest sequence in the running mean. */
const newestShare = 0.1;
const significantBits = 4;
/** Fewest tokens of an answer whose speed counts. */
const leastTokens = 16;
/** Share of an answer's tokens up to which accepted drafts do not make its speed another one. */
const mostAccepted = 0.05;

/**
 * A meter of a lead's work. The time that sequences run follows from how many run at a time and how many end (Little's
 * law): between two ends pass as many milliseconds of running sequences as one of them takes in the mean.
 */
export class LoadMeter {
  #load: LeadLoad = { active: 0, queued: 0, waitingTokens: 0 };
  #atMs: number;
  /** Milliseconds of all running sequences together since the last end. */
  #runMs = 0;
  #ended = 0;
  /** Time until which more than one sequence ran. */
  #crowdedUntilMs = -Infinity;
  #tokensPerSecond: number | undefined;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /**
   * Takes the present counts, with the number of sequences that have ended so far.
   *
   * @returns the load when routers are to hear of it, undefined when it is as before
   */
  update(
    { active, queued, waitingTokens, ended }: Omit<LeadLoad, 'sequenceMs'> & { readonly ended: number },
    nowMs: number,
  ): LeadLoad | undefined {
    this.#runMs += this.#load.active * (nowMs - this.#atMs);
    this.#atMs = nowMs;
    const before = this.#load;
    if (before.active > 1 || active > 1) this.#crowdedUntilMs = nowMs;
    const tokensPerSecond = this.#tokensPerSecond;
    const load = {
      active,
      queued,
      waitingTokens: roundedUp(waitingTokens),
      ...this.#sequenceMs(ended),
      ...(tokensPerSecond !== undefined && { tokensPerSecond }),
    };
    this.#load = load;
    const isSame =
      load.active === before.active && load.queued === before.queued && load.waitingTokens === before.waitingTokens;
    return isSame ? undefined : load;
  }

  /** Takes the speed of an answer that has ended, if it ran alone from its first token on. */
  noteAnswer(
    { tokens, acceptedTokens, decodeMs }: { tokens: number; acceptedTokens: number; decodeMs: number },
    nowMs: number,
  ): void {
    const isAlone = nowMs - decodeMs > this.#crowdedUntilMs;
    if (!isAlone || tokens < leastTokens || acceptedTokens > mostAccepted * tokens || decodeMs <= 0) return;
    const newest = ((tokens - 1) / decodeMs) * 1000;
    const before = this.#tokensPerSecond ?? newest;
    this.#tokensPerSecond = Math.round((before + (newest - before) / 4) * 100) / 100;
  }

  #sequenceMs(ended: number): Pick<LeadLoad, 'sequenceMs'> {
    const { sequenceMs: before } = this.#load;
    const count = ended - this.#ended;
    if (count <= 0) return before === undefined ? {} : { sequenceMs: before };
    const newest = this.#runMs / count;
    this.#runMs = 0;
    this.#ended = ended;
    const share = before === undefined ? 1 : 1 - (1 - newestShare) ** count;
    return { sequenceMs: Math.round((before ?? 0) + share * (newest - (before ?? 0))) };
  }
}

/** Rounds a count up to its four leading binary digits, so that it changes seldom while it falls. */
function roundedUp(count: number): number {
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, count))) - significantBits + 1);
  return Math.ceil(count / unit) * unit;
}
