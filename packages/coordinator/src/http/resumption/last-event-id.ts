import type { Context } from 'hono';

import { noSuchStream } from './no-such-stream.ts';

/** An event of a stream, as its id names it. */
export interface EventPlace {
  readonly stream: string;
  /** Number of the event, from 1. */
  readonly number: number;
  /** Mark of the answer by then, with which another coordinator tells it anew. Default: none can. */
  readonly mark?: string | undefined;
}

/** Makes the `id` of an event. */
export function eventId({ stream, number, mark }: EventPlace): string {
  return mark === undefined ? `${stream}:${number}` : `${stream}:${number}:${mark}`;
}

/**
 * Returns the last event that the client has of a stream that it wants to continue; undefined for a new request.
 *
 * @throws SkeinError `not-found` for an id that no stream of ours has: answering from the start would repeat what the
 * client has
 */
export function lastEventOf(context: Context): EventPlace | undefined {
  const id = context.req.header('last-event-id');
  if (id === undefined || id === '') return undefined;
  const [, stream, number, mark] = /^([A-Za-z0-9._-]{1,64}):(\d{1,9})(?::([a-z0-9-]{1,64}))?$/.exec(id) ?? [];
  if (stream === undefined) throw noSuchStream();
  return { stream, number: Number(number), mark };
}
