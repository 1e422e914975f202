import { asSkeinError, invariant, SkeinError, type AnswerEvent, type DescribedLogprobs } from '@skein/protocol';
import { answerEvents } from '@skein/serving';

import type { AnswerObserver } from '../../audit/index.ts';
import type { Choice } from '../generation-port.ts';
import { combine, type AnswerFormat, type AnswerIdentity, type Completion } from './answer-format.ts';

export interface AnswerOptions {
  readonly choices: readonly Choice[];
  readonly format: AnswerFormat;
  readonly identity: AnswerIdentity;
  /** Signal of the generations. */
  readonly signal: AbortSignal;
  /** Observer of the choices' progress. */
  readonly observer: AnswerObserver;
}

/**
 * Collects the choices into one answer.
 *
 * @throws SkeinError the failure of a choice: an answer lacks none of the choices that were asked for
 */
export async function wholeAnswer(
  options: AnswerOptions & {
    /** Aborts the generations: once one has failed, nobody needs the others. */
    readonly abort: (reason: SkeinError) => void;
  },
): Promise<object> {
  const { choices, format, identity, abort } = options;
  const drafts = choices.map(() => ({ text: '', described: undefined as DescribedLogprobs[] | undefined }));
  const completions = await readChoices({
    ...options,
    onDelta(index, { text, logprobs }) {
      const draft = choiceAt(drafts, index);
      draft.text += text;
      if (logprobs !== undefined) (draft.described ??= []).push(...logprobs);
      return undefined;
    },
    onFailure: abort,
  });
  const whole = drafts.map(({ text, described }, index) => ({
    index,
    text,
    logprobs: described === undefined ? null : format.logprobs()(described),
    finishReason: choiceAt(completions, index).end.finishReason,
  }));
  return format.whole(identity, whole, combine(completions));
}

/** Returns the choice with a number, by which readers name it. */
export function choiceAt<Choice>(choices: readonly Choice[], index: number): Choice {
  return invariant(choices[index], 'what is told of is one of the choices');
}

export type AnswerBegin = Extract<AnswerEvent, { type: 'begin' }>;
export type PartDelta = Extract<AnswerEvent, { type: 'part-delta' }>;

export interface ReadChoicesOptions {
  readonly choices: readonly Choice[];
  /** Signal of the generations. */
  readonly signal: AbortSignal;
  /** Called when a replica has begun a choice, each time that one does. */
  readonly onBegin?: (index: number, begin: AnswerBegin) => void;
  /** Takes a choice's text; when it returns a promise, reading of that choice goes on once it has resolved. */
  readonly onDelta: (index: number, delta: PartDelta) => Promise<void> | undefined;
  readonly onEnd?: (index: number, completion: Completion) => void;
  /** Called with the error of the first choice that fails, while others may go on. */
  readonly onFailure?: (error: SkeinError) => void;
  /** Observer of the choices' progress. */
  readonly observer: AnswerObserver;
}

/**
 * Reads all choices side by side, each to its own end. When one has failed, throws the first failure once the others
 * are over, too.
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
        // The signal knows better why than the stream that was cut.
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
  for await (const event of answerEvents(choice)) {
    switch (event.type) {
      case 'begin':
        onBegin?.(index, event);
        break;
      case 'part-start':
      case 'part-end':
        // All that OpenAI's answers say is text.
        break;
      case 'part-delta': {
        observer.onTokens(index, event.tokens.length);
        const behind = onDelta(index, event);
        if (behind !== undefined) await behind;
        signal.throwIfAborted();
        break;
      }
      case 'finish': {
        if (choice.route === undefined) throw new SkeinError('internal', 'a generation ended at no lead');
        const { route, receipt } = choice;
        const completion = { ...route, receipt, end: event };
        observer.onEnd(index, event);
        onEnd?.(index, completion);
        return completion;
      }
    }
  }
  throw new SkeinError('peer-lost', 'the peer went away before the answer was complete; try again');
}
