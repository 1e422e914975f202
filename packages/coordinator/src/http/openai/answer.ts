import { errorBody } from '../error-response.ts';
import type { ServerSentEvent } from '../event-stream.ts';
import type { AnswerFormat, AnswerIdentity } from './answer-format.ts';
import type { Completion } from './generation-text.ts';

type Text = AsyncGenerator<string, Completion, undefined>;

/** Collects a generation into one answer. Throws what the generation throws. */
export async function wholeAnswer(text: Text, format: AnswerFormat, identity: AnswerIdentity): Promise<object> {
  let whole = '';
  for (;;) {
    const next = await text.next();
    if (next.done === true) return format.whole(identity, whole, next.value);
    whole += next.value;
  }
}

/**
 * The chunks of a streamed answer. What goes wrong before the first piece of text is thrown; later, it becomes the last
 * chunk. Leaving the iteration early ends the generation.
 */
export async function* answerChunks(options: {
  readonly text: Text;
  readonly format: AnswerFormat;
  readonly identity: AnswerIdentity;
  /** Ends the stream with a chunk that holds the usage. */
  readonly includeUsage: boolean;
  /** Told about an error that became a chunk. */
  readonly onError: (error: unknown) => void;
}): AsyncGenerator<ServerSentEvent, void, undefined> {
  const { format, identity, includeUsage, onError } = options;
  await using text = options.text;
  let next = await text.next();
  // With usage asked for, every other chunk says `usage: null`, as OpenAI's do.
  const withUsage = (chunk: object): object => (includeUsage ? { ...chunk, usage: null } : chunk);
  try {
    const opening = format.opening(identity);
    if (opening !== undefined) yield withUsage(opening);
    for (; next.done !== true; next = await text.next()) yield withUsage(format.delta(identity, next.value));
    yield withUsage(format.ending(identity, next.value));
    if (includeUsage) yield format.usage(identity, next.value);
    yield '[DONE]';
  } catch (error) {
    onError(error);
    yield errorBody(error);
  }
}
