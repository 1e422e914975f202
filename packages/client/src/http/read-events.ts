import { SkeinError } from '@skein/protocol';
import { EventSourceParserStream } from 'eventsource-parser/stream';

import { errorFromBody, explainLoss } from './response-error.ts';

/** Longest single event, in characters. A delta has a few hundred. */
const maxEventCharacters = 4 * 1024 * 1024;

/**
 * Yields the JSON of each server-sent event. Closes the connection when the caller leaves early.
 *
 * @param options.hasEndMark whether the stream has to end with OpenAI's `[DONE]`: without it the answer may be half of
 * one
 * @throws SkeinError the error that an event carries; `peer-lost` when the connection breaks or the mark is missing;
 * `protocol-violation` when an event is not JSON
 */
export async function* readEvents(
  response: Response,
  { hasEndMark }: { readonly hasEndMark: boolean },
): AsyncGenerator<unknown, void, undefined> {
  if (response.body === null) throw new SkeinError('protocol-violation', 'the answer has no body');
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ maxBufferSize: maxEventCharacters }));
  const reader = events.getReader();
  try {
    for (;;) {
      const { done, value } = await read(reader);
      if (done && !hasEndMark) return;
      if (done) throw explainLoss(undefined);
      if (value.data === '[DONE]') return;
      yield parseEvent(value.data);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function read<Value>(reader: ReadableStreamDefaultReader<Value>) {
  try {
    return await reader.read();
  } catch (error) {
    throw explainLoss(error);
  }
}

function parseEvent(data: string): unknown {
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch (error) {
    throw new SkeinError('protocol-violation', 'the coordinator sent an event that is not JSON', { cause: error });
  }
  const failure = errorFromBody(event);
  if (failure !== undefined) throw failure;
  return event;
}
