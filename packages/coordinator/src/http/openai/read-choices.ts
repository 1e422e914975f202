import type { GenerationUpdate } from '@skein/mesh';
import { asSkeinError, SkeinError } from '@skein/protocol';

import type { AnswerObserver } from '../../audit/index.ts';
import type { RoutedChoices } from '../generation-port.ts';
import type { GenerationEnd } from './completion.ts';

export type TextDelta = Extract<GenerationUpdate, { type: 'text-delta' }>;

export interface ReadChoicesOptions {
  readonly routed: RoutedChoices;
  /** Of the generations. */
  readonly signal: AbortSignal;
  /** Aborts that signal. */
  readonly abort: (reason: SkeinError) => void;
  /** Takes what a choice says; when it returns a promise, that choice is read on once it has resolved. */
  readonly onDelta: (index: number, delta: TextDelta) => Promise<void> | undefined;
  readonly onEnd?: (index: number, end: GenerationEnd) => void;
  /** Told how far all choices get. */
  readonly observer: AnswerObserver;
}

/** Reads all choices side by side. When one fails, the others are ended, and what it failed with is thrown. */
export async function readChoices(options: ReadChoicesOptions): Promise<readonly GenerationEnd[]> {
  const { routed, signal, abort } = options;
  return await Promise.all(
    routed.choices.map(async (events, index) => {
      try {
        return await readChoice(events, index, options);
      } catch (thrown) {
        // Who aborted knows better why than the stream that was cut.
        const error: unknown = signal.aborted ? signal.reason : thrown;
        abort(asSkeinError(error));
        throw error;
      }
    }),
  );
}

async function readChoice(
  events: AsyncIterable<GenerationUpdate>,
  index: number,
  { signal, onDelta, onEnd, observer }: ReadChoicesOptions,
): Promise<GenerationEnd> {
  for await (const event of events) {
    if (event.type === 'generation-end') {
      observer.onEnd(index, event);
      onEnd?.(index, event);
      return event;
    }
    observer.onTokens(index, event.tokens.length);
    const behind = onDelta(index, event);
    if (behind !== undefined) await behind;
    signal.throwIfAborted();
  }
  throw new SkeinError('peer-lost', 'the peer went away before the answer was complete; try again');
}
