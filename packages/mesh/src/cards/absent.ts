import type { Card } from '@skein/protocol';

/**
 * Members that are missing and may be back in a moment, so that a model that nobody has can be told from one that
 * nobody shows just now. Once both are empty and false, the view of the mesh is settled.
 */
export interface Absent {
  /** Last cards of members that were lost within the last two minutes and are members still. */
  readonly lost: readonly Card[];
  /** Whether this member has started within the last 30 seconds, and has not yet met all that it has reason to expect. */
  readonly isGathering: boolean;
}

/**
 * Time for which a lost member counts as such, in milliseconds: a machine that restarts is back by then, and one behind
 * a broken link has been dialled several times.
 */
export const lostForMs = 120_000;

/**
 * Longest time for which a member that has just started waits for others, in milliseconds: twice the dialler's longest
 * pause.
 */
const gatherMs = 30_000;

/**
 * The judgement whether a member is still meeting the others after its start. Keeps no clock: times come in, in
 * milliseconds.
 */
export class Gathering {
  readonly #startedAtMs: number;
  #isOver = false;

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  /**
   * Tells whether it may have to wait for members. Once everybody was there it is over for good: a member that goes
   * then is lost.
   *
   * @param missing returns how many it has reason to expect and has not met
   */
  isOn(nowMs: number, missing: () => number): boolean {
    this.#isOver ||= nowMs - this.#startedAtMs >= gatherMs || missing() === 0;
    return !this.#isOver;
  }
}
