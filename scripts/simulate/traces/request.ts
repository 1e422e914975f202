/** A request of a trace. */
export interface TracedRequest {
  readonly atMs: number;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Tokens of the answer. */
  readonly outputTokens: number;
  /** Ids of the blocks of the prompt, the last of which may be shorter: equal ids mean equal prompts up to there. */
  readonly blocks: readonly number[];
}

export interface Trace {
  readonly name: string;
  /** Tokens of a block. */
  readonly blockTokens: number;
  readonly requests: readonly TracedRequest[];
}
