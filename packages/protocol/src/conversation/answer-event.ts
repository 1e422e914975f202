import type { DescribedLogprobs, FinishReason, GenerationTimings, Usage } from '../generation/events.ts';
import type { MessagePart } from './message.ts';

/**
 * An event of an answer, the one form that every API writes its own from. Parts come one after the other, each with its
 * start, its deltas and its end; then the answer finishes. An answer that fails throws instead.
 */
export type AnswerEvent =
  /** A replica has begun, or another one to go on: with what every replica of the answer has to agree on. */
  | { readonly type: 'begin'; readonly promptHash: string; readonly maxTokens: number }
  | { readonly type: 'part-start'; readonly part: MessagePart['type'] }
  | {
      readonly type: 'part-delta';
      /** More text of the part, empty while something is held back. */
      readonly text: string;
      /** Ids of the tokens behind the text. */
      readonly tokens: readonly number[];
      /** One entry for each token, when they were asked for. */
      readonly logprobs?: readonly DescribedLogprobs[] | undefined;
      /** Mirostat's state after the last token. */
      readonly mu?: number | undefined;
    }
  | { readonly type: 'part-end' }
  | {
      readonly type: 'finish';
      readonly finishReason: FinishReason;
      readonly usage: Usage;
      readonly timings: GenerationTimings;
    };
