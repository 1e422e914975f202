import type { AnswerEvent } from '@skein/protocol';

import type { GenerationUpdate } from '../generation/generate.ts';

/**
 * Yields a generation as an answer in parts: all text is one part. Leaving the loop leaves the generation.
 *
 * @throws SkeinError the errors of the generation
 */
export async function* answerEvents(
  generation: AsyncIterable<GenerationUpdate>,
): AsyncGenerator<AnswerEvent, void, undefined> {
  let isOpen = false;
  for await (const update of generation) {
    switch (update.type) {
      case 'generation-begin':
        yield { type: 'begin', promptHash: update.promptHash, maxTokens: update.maxTokens };
        break;
      case 'text-delta': {
        const { text, tokens, logprobs, mu } = update;
        if (!isOpen) yield { type: 'part-start', part: 'text' };
        isOpen = true;
        yield { type: 'part-delta', text, tokens, logprobs, mu };
        break;
      }
      case 'generation-end': {
        const { finishReason, usage, timings } = update;
        if (isOpen) yield { type: 'part-end' };
        yield { type: 'finish', finishReason, usage, timings };
        break;
      }
    }
  }
}
