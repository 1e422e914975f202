import { asSkeinError, invariant, SkeinError, type AnswerEvent, type DescribedLogprobs } from '@skein/protocol';
import { answerEvents } from '@skein/serving';

import type { AnswerObserver } from '../../audit/index.ts';
import type { Schedule } from '../../timers.ts';
import { eventOf, type EventSink } from '../event-stream/index.ts';
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
function choiceAt<Choice>(choices: readonly Choice[], index: number): Choice {
  return invariant(choices[index], 'what is told of is one of the choices');
}

/**
 * Longest wait for a replica to begin before the headers of a stream go out all the same, in milliseconds: clients give
 * up after 30 s.
 */
const headersAfterMs = 10_000;

/**
 * Sends the chunks of a streamed answer: those of all choices as they come. Headers go out when a replica has begun, or
 * after ten seconds, as when the model has to be loaded first. A choice that fails for good does not end the others:
 * its error is thrown when they have come to their ends.
 */
export async function streamAnswer(
  sink: EventSink,
  options: AnswerOptions & {
    /** Ends the stream with a chunk that holds the usage. */
    readonly includeUsage: boolean;
    readonly schedule: Schedule;
  },
): Promise<void> {
  const { format, identity, includeUsage, schedule } = options;
  using _patience = schedule(headersAfterMs, () => sink.open());
  // With usage asked for, every other chunk says `usage: null`, as OpenAI's do.
  const formatted = (chunk: object) => eventOf(includeUsage ? { ...chunk, usage: null } : chunk);
  const choices = options.choices.map((_, index) => {
    const opening = format.opening(identity, index);
    return {
      /** Chunk to send before any other of this choice. */
      opening: opening === undefined ? '' : formatted(opening),
      textEvent: textTemplate((text) => formatted(format.delta(identity, { index, text, logprobs: null }))),
      logprobs: format.logprobs(),
    };
  });
  const completions = await readChoices({
    ...options,
    onBegin: () => sink.open(),
    onDelta(index, { text, logprobs }) {
      const choice = choiceAt(choices, index);
      if (text === '' && logprobs === undefined) return undefined;
      const event =
        logprobs === undefined
          ? choice.textEvent(text)
          : formatted(format.delta(identity, { index, text, logprobs: choice.logprobs(logprobs) }));
      sink.write(choice.opening === '' ? event : choice.opening + event);
      choice.opening = '';
      return sink.behind;
    },
    onEnd(index, completion) {
      sink.write(choiceAt(choices, index).opening + formatted(format.ending(identity, index, completion)));
    },
  });
  if (includeUsage) sink.send(format.usage(identity, combine(completions)));
  sink.write('data: [DONE]\n\n');
}

/** Makes a function for events that differ in one text alone: the rest is serialized once, not for each token. */
function textTemplate(eventWith: (text: string) => string): (text: string) => string {
  const mark = '\0';
  const event = eventWith(mark);
  const quotedMark = JSON.stringify(mark);
  // The last one: what the client named, the model, comes before the text.
  const start = event.lastIndexOf(quotedMark);
  const before = event.slice(0, start);
  const after = event.slice(start + quotedMark.length);
  return (text) => before + JSON.stringify(text) + after;
}

type PartDelta = Extract<AnswerEvent, { type: 'part-delta' }>;

interface ReadChoicesOptions {
  readonly choices: readonly Choice[];
  /** Signal of the generations. */
  readonly signal: AbortSignal;
  /** Called when a replica has begun a choice, each time that one does. */
  readonly onBegin?: () => void;
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
async function readChoices(options: ReadChoicesOptions): Promise<readonly Completion[]> {
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
        onBegin?.();
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
        const completion = { ...choice.route, end: event };
        observer.onEnd(index, event);
        onEnd?.(index, completion);
        return completion;
      }
    }
  }
  throw new SkeinError('peer-lost', 'the peer went away before the answer was complete; try again');
}
