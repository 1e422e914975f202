import type { DescribedLogprobs, GenerationInput } from '@skein/protocol';
import { addInterruptions, withInterruptions, type Interruptions } from '@skein/serving';

import type { AnswerObserver } from '../../audit/index.ts';
import type { Schedule } from '../../timers.ts';
import { eventOf, type EventSink } from '../event-stream/index.ts';
import type { Choice } from '../generation-port.ts';
import { AnswerMark } from '../resumption/index.ts';
import {
  combine,
  type AnswerFormat,
  type AnswerIdentity,
  type Completion,
  type LogprobsFormat,
} from './answer-format.ts';
import { choiceAt, readChoices } from './answer.ts';

export interface StreamedAnswerOptions {
  /** Inputs of the choices. */
  readonly inputs: readonly GenerationInput[];
  readonly format: AnswerFormat;
  readonly identity: AnswerIdentity;
  /** Ends the stream with a chunk that holds the usage. */
  readonly includeUsage: boolean;
  /** Whether the chunks hold what their reader needs to have the answer continued elsewhere. */
  readonly includeState: boolean;
}

/** A connection that carries a streamed answer. */
export interface AnswerConnection {
  /** Makes generations of the inputs, one each, to be iterated side by side. */
  readonly generate: (inputs: readonly [GenerationInput, ...GenerationInput[]]) => readonly Choice[];
  /** Signal of the generations. */
  readonly signal: AbortSignal;
  /** Aborts when the connection is lost: the answer can go on over another one. */
  readonly gone: AbortSignal;
  /** Observer of the progress on this connection. */
  readonly observer: AnswerObserver;
  readonly schedule: Schedule;
}

/**
 * Longest wait for a replica to begin before the headers of a stream go out all the same, in milliseconds: clients give
 * up after 30 s.
 */
const headersAfterMs = 10_000;

const none: Interruptions = { failovers: 0, pauseMs: 0 };

interface ChoiceState {
  readonly index: number;
  /** The request for the rest of it. */
  input: GenerationInput;
  /** Tokens that were sent, here or on the connection that the request continues. */
  tokens: number;
  /** Interruptions on connections before this one. */
  interruptions: Interruptions;
  completion: Completion | undefined;
  /** Chunk to send before any other of this choice. */
  opening: string;
  readonly textEvent: (text: string) => string;
  readonly logprobs: LogprobsFormat;
}

/**
 * An answer as a stream of chunks, those of all choices as they come. When its connection is lost its generations end,
 * and it goes on over another connection where it was.
 */
export class StreamedAnswer {
  readonly #options: StreamedAnswerOptions;
  readonly #choices: readonly ChoiceState[];
  /** Undefined with several choices, whose events come in any order, and for the rest of an answer alone. */
  readonly #mark: AnswerMark | undefined;
  #isOver = false;

  constructor(options: StreamedAnswerOptions) {
    const { inputs, format, identity } = options;
    this.#options = options;
    const [only, ...others] = inputs;
    const isWhole = only !== undefined && others.length === 0 && only.resume === undefined;
    this.#mark = isWhole ? new AnswerMark(only) : undefined;
    this.#choices = inputs.map((input, index) => {
      const opening = format.opening(identity, index);
      const textEvent = textTemplate((text) => this.#chunk(format.delta(identity, { index, text, logprobs: null })));
      return {
        index,
        input,
        tokens: input.resume?.tokens.length ?? 0,
        interruptions: none,
        completion: undefined,
        opening: opening === undefined ? '' : this.#chunk(opening),
        textEvent,
        logprobs: format.logprobs(),
      };
    });
  }

  /** The mark of what was sent; undefined where no other coordinator can send it anew. */
  get mark(): string | undefined {
    return this.#mark?.text;
  }

  /** Whether it has come to its end, or failed for good. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Sends the answer, or the rest of it, with `[DONE]` at its end. Headers go out when a replica has begun, or after ten
   * seconds, as when the model has to be loaded first. A choice that fails for good does not end the others: its error
   * is thrown when they have come to their ends.
   */
  async send(sink: EventSink, connection: AnswerConnection): Promise<void> {
    using _patience = connection.schedule(headersAfterMs, () => sink.open());
    try {
      await this.#sendChoices(sink, connection);
      const { format, identity, includeUsage } = this.#options;
      const completions = this.#choices.map(({ completion }) => completion).filter((one) => one !== undefined);
      if (includeUsage) sink.send(format.usage(identity, combine(completions)));
      sink.write('data: [DONE]\n\n');
      this.#isOver = true;
    } catch (error) {
      this.#isOver = !connection.gone.aborted;
      throw error;
    }
  }

  async #sendChoices(sink: EventSink, { generate, signal, observer }: AnswerConnection): Promise<void> {
    const { format, identity, includeState } = this.#options;
    const open = this.#choices.filter(({ completion }) => completion === undefined);
    const [first, ...others] = open.map(({ input }) => input);
    if (first === undefined) return;
    const runs = generate([first, ...others]);
    const sentBefore = open.map(({ tokens }) => tokens);
    try {
      await readChoices({
        choices: runs,
        signal,
        observer: {
          onTokens: (run, count) => observer.onTokens(choiceAt(open, run).index, count),
          onEnd: (run, { finishReason, usage }) => {
            // Tokens that another connection carried are on the record of that one.
            const completionTokens = usage.completionTokens - choiceAt(sentBefore, run);
            observer.onEnd(choiceAt(open, run).index, { finishReason, usage: { ...usage, completionTokens } });
          },
        },
        onBegin: (run, { promptHash, maxTokens }) => {
          sink.open();
          if (!includeState) return;
          const choice = choiceAt(open, run);
          const { askedAt, sampling } = choice.input;
          const state = { promptHash, maxTokens, askedAt, seed: sampling.seed };
          sink.write(this.#delta(choice, { text: '' }, { state }));
        },
        onDelta: (run, { text, tokens, logprobs, mu }) => {
          const choice = choiceAt(open, run);
          choice.tokens += tokens.length;
          this.#mark?.add(tokens);
          if (text === '' && logprobs === undefined && !includeState) return undefined;
          const isPlain = logprobs === undefined && !includeState;
          // Tokens and text are in one event: a connection can't break between them.
          const skein = includeState ? { tokens, mu, ...interruptionsOf(choice, runs[run]) } : undefined;
          const event = isPlain ? choice.textEvent(text) : this.#delta(choice, { text, logprobs }, skein);
          this.#open(choice, sink);
          sink.write(event);
          return sink.behind;
        },
        onEnd: (run, { end, ...ended }) => {
          const choice = choiceAt(open, run);
          this.#open(choice, sink);
          const completion = { ...ended, end: { ...end, usage: withInterruptions(end.usage, choice.interruptions) } };
          sink.write(this.#chunk(format.ending(identity, choice.index, completion)));
          choice.completion = completion;
        },
      });
    } finally {
      for (const [run, choice] of open.entries()) {
        choice.input = { ...choice.input, ...runs[run]?.transcript.continuation };
        choice.interruptions = addInterruptions(choice.interruptions, runs[run]?.interruptions ?? none);
      }
    }
  }

  #open(choice: ChoiceState, sink: EventSink): void {
    if (choice.opening !== '') sink.write(choice.opening);
    choice.opening = '';
  }

  #delta(
    { index, ...choice }: ChoiceState,
    { text, logprobs }: { readonly text: string; readonly logprobs?: readonly DescribedLogprobs[] | undefined },
    skein: object | undefined,
  ): string {
    const { format, identity } = this.#options;
    const described = logprobs === undefined ? null : choice.logprobs(logprobs);
    const delta = format.delta(identity, { index, text, logprobs: described });
    return this.#chunk(skein === undefined ? delta : { ...delta, skein });
  }

  /** Formats a chunk. With usage asked for, every one but that with the usage says `usage: null`, as OpenAI's do. */
  #chunk(chunk: object): string {
    return eventOf(this.#options.includeUsage ? { ...chunk, usage: null } : chunk);
  }
}

/** Returns the interruptions of a choice so far, over all connections, as its chunks tell them; nothing where there were none. */
function interruptionsOf({ interruptions }: ChoiceState, run: Choice | undefined): Partial<Interruptions> {
  const all = addInterruptions(interruptions, run?.interruptions ?? none);
  return all.failovers === 0 ? {} : all;
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
