import type { DescribedLogprobs, SkeinError } from '@skein/protocol';

import type { AnswerObserver } from '../../audit/index.ts';
import { eventOf, type EventSink } from '../event-stream/index.ts';
import type { RoutedChoices } from '../generation-port.ts';
import type { AnswerFormat, AnswerIdentity } from './answer-format.ts';
import { combineEnds, type Completion, type GenerationEnd } from './completion.ts';
import { readChoices } from './read-choices.ts';

export interface AnswerOptions {
  readonly routed: RoutedChoices;
  readonly format: AnswerFormat;
  readonly identity: AnswerIdentity;
  /** Of the generations. */
  readonly signal: AbortSignal;
  /** Aborts that signal. */
  readonly abort: (reason: SkeinError) => void;
  /** Told how far the choices get. */
  readonly observer: AnswerObserver;
}

/** Collects the choices into one answer. Throws what one of them failed with. */
export async function wholeAnswer(options: AnswerOptions): Promise<object> {
  const { routed, format, identity } = options;
  const drafts = routed.choices.map(() => ({ text: '', described: undefined as DescribedLogprobs[] | undefined }));
  const ends = await readChoices({
    ...options,
    onDelta(index, { text, logprobs }) {
      const draft = drafts[index];
      if (draft === undefined) return undefined;
      draft.text += text;
      if (logprobs !== undefined) (draft.described ??= []).push(...logprobs);
      return undefined;
    },
  });
  const choices = drafts.map(({ text, described }, index) => ({
    index,
    text,
    logprobs: described === undefined ? null : format.logprobs()(described),
    finishReason: ends[index]?.finishReason ?? 'stop',
  }));
  return format.whole(identity, choices, completionOf(routed, combineEnds(ends)));
}

/** Sends the chunks of a streamed answer: those of all choices as they come. Throws what one of them failed with. */
export async function streamAnswer(
  sink: EventSink,
  options: AnswerOptions & {
    /** Ends the stream with a chunk that holds the usage. */
    readonly includeUsage: boolean;
  },
): Promise<void> {
  const { routed, format, identity, includeUsage } = options;
  // With usage asked for, every other chunk says `usage: null`, as OpenAI's do.
  const dressed = (chunk: object) => eventOf(includeUsage ? { ...chunk, usage: null } : chunk);
  const choices = routed.choices.map((_, index) => {
    const opening = format.opening(identity, index);
    return {
      /** What is to be sent before anything else of this choice. */
      opening: opening === undefined ? '' : dressed(opening),
      textEvent: textTemplate((text) => dressed(format.delta(identity, { index, text, logprobs: null }))),
      logprobs: format.logprobs(),
    };
  });
  const ends = await readChoices({
    ...options,
    onDelta(index, { text, logprobs }) {
      const choice = choices[index];
      if (choice === undefined || (text === '' && logprobs === undefined)) return undefined;
      const event =
        logprobs === undefined
          ? choice.textEvent(text)
          : dressed(format.delta(identity, { index, text, logprobs: choice.logprobs(logprobs) }));
      sink.write(choice.opening === '' ? event : choice.opening + event);
      choice.opening = '';
      return sink.behind;
    },
    onEnd(index, end) {
      const ending = dressed(format.ending(identity, index, completionOf(routed, end)));
      sink.write((choices[index]?.opening ?? '') + ending);
    },
  });
  if (includeUsage) sink.send(format.usage(identity, completionOf(routed, combineEnds(ends))));
  sink.write('data: [DONE]\n\n');
}

function completionOf({ deployment, lead }: RoutedChoices, end: GenerationEnd): Completion {
  return { deployment, lead, end };
}

/** Makes events that differ in one text alone: what is around it is serialized once, not for each token. */
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
