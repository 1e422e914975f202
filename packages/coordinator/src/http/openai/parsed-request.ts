import type { GenerationInput } from '@skein/protocol';

import type { Turns } from '../turns.ts';

/** A request to one of the OpenAI endpoints, checked and in Skein's terms. */
export interface ParsedRequest {
  /** As the client spelled it; answers repeat it. */
  readonly model: string;
  /** One for each choice; they differ in their seeds alone. */
  readonly inputs: readonly [GenerationInput, ...GenerationInput[]];
  /** Characters of all messages together, or tokens where the prompt came as such. */
  readonly promptSize: number;
  readonly stream: boolean;
  /** Whether a stream ends with a chunk that holds the usage. */
  readonly includeUsage: boolean;
}

export interface ParseOptions {
  /** Turns of the event loop, for what takes more than one. */
  readonly turns: Turns;
  /** Draws a seed, an unsigned 32 bit integer, for a request without one. */
  readonly randomSeed: () => number;
}
