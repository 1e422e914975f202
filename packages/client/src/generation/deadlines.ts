/** Longest waits of a client, in milliseconds. */
export interface Deadlines {
  /** For the coordinator to answer, or for a first member of the mesh to be reached. Default 10,000. */
  readonly connectMs: number;
  /**
   * From the request to the first token, however early a peer has begun. Default 120,000: a long prompt takes slow
   * machines a minute or more to read.
   */
  readonly firstTokenMs: number;
  /**
   * From one token to the next. Default 60,000: no machine takes so long for a step, so an answer that pauses longer is
   * lost.
   */
  readonly gapMs: number;
}

export const defaultDeadlines: Deadlines = Object.freeze({ connectMs: 10_000, firstTokenMs: 120_000, gapMs: 60_000 });
