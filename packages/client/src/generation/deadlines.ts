/** How long to wait for what, in milliseconds. */
export interface Deadlines {
  /** For the coordinator to answer, or for a first member of the mesh to be reached. Default 10,000. */
  readonly connectMs: number;
  /**
   * From the request to the first token, however early a peer has begun. Default 120,000: a long prompt on slow machines is
   * read for a minute or more.
   */
  readonly firstTokenMs: number;
  /** From one token to the next. Default 60,000: a step of any machine is shorter, so that what lasts longer is lost. */
  readonly gapMs: number;
}

export const defaultDeadlines: Deadlines = Object.freeze({ connectMs: 10_000, firstTokenMs: 120_000, gapMs: 60_000 });
