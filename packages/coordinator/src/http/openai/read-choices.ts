import { asSkeinError, SkeinError } from '@skein/protocol';
import type { GenerationUpdate } from '@skein/serving';

import type { AnswerObserver } from '../../audit/index.ts';
import type { Choice } from '../generation-port.ts';
import type { Completion } from './completion.ts';

export type TextDelta = Extract<GenerationUpdate, { type: 'text-delta' }>;

export interface ReadChoicesOptions {
  readonly choices: readonly Choice[];
  /** Of the generations. */
  readonly signal: AbortSignal;
  /** Told when a replica has begun a choice, each time that one does. */
  readonly onBegin?: () => void;
  /** Takes what a choice says; when it returns a promise, that choice is read on once it has resolved. */
  readonly onDelta: (index: number, delta: TextDelta) => Promise<void> | undefined;
  readonly onEnd?: (index: number, completion: Completion) => void;
  /** Told of the first choice that fails, while others may go on. */
  readonly onFailure?: (error: SkeinError) => void;
  /** Told how far all choices get. */
  readonly observer: AnswerObserver;
}

/**
 * Reads all choices side by side, each to its own end. When one has failed, what the first one failed with is thrown once the
 * others are over, too.
 */
export async function readChoices(options: ReadChoicesOptions): Promise<readonly Completion[]> {
  const { choices, signal, onFailure } = options;
  let failure: SkeinError | undefined;
  const completions = await Promise.all(
    choices.map(async (choice, index) => {
      try {
        return await readChoice(choice, index, options);
      } catch (thrown) {
        if (failure !== undefined) return undefined;
        // Who aborted knows better why than the stream that was cut.
        failure = asSkeinError(signal.aborted ? signal.reason : thrown);
        onFailure?.(failure);
        return undefined;
      }
    }),
  );
  if (failure !== undefined) throw failure;
  return completions.filter((completion) => completion !== undefined);
}

async function readChoice(
  choice: Choice,
  index: number,
  { signal, onBegin, onDelta, onEnd, observer }: ReadChoicesOptions,
): Promise<Completion> {
  for await (const event of choice) {
    switch (event.type) {
      case 'generation-begin':
        onBegin?.();
        break;
      case 'text-delta': {
        observer.onTokens(index, event.tokens.length);
        const behind = onDelta(index, event);
        if (behind !== undefined) await behind;
        signal.throwIfAborted();
        break;
      }
      case 'generation-end': {
        if (choice.route === undefined) throw new SkeinError('internal', 'a generation ended at no lead');
        const completion = { ...choice.route, end: event };
        observer.onEnd(index, event);
        onEnd?.(index, completion);
        return completion;
      }
    }
  }
  throw new SkeinError('peer-lost', 'the peer went away before the answer was complete; try again');
}
