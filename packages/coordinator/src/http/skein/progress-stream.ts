import { setTimeout as delay } from 'node:timers/promises';

import type { EventSink } from '../event-stream/index.ts';

/**
 * Pause after which the latest event is repeated, in milliseconds: clients, Node's `fetch` among them, give up on a
 * stream that is silent for minutes.
 */
const repeatMs = 15_000;

/**
 * Follows a change: sends its latest event, on changes and again when there is none for a while, and at last the event
 * that the change ended with. Throws the change's error. A slow reader misses events in between, never the latest.
 */
export async function sendProgress<Event extends object>(
  sink: EventSink,
  change: (onEvent: (event: Event) => void) => Promise<Event>,
): Promise<void> {
  let latest: Event | undefined;
  let changed = Promise.withResolvers<false>();
  const job = change((event) => {
    latest = event;
    changed.resolve(false);
  });
  const isOver = job.then(
    () => true,
    () => true,
  );
  while (!(await untilFirst(isOver, changed.promise))) {
    changed = Promise.withResolvers<false>();
    if (latest !== undefined) sink.send(latest);
    await sink.behind;
  }
  sink.send(await job);
}

/** Resolves with the first of both, or with false after a while. */
async function untilFirst(isOver: Promise<boolean>, changed: Promise<false>): Promise<boolean> {
  const waiting = new AbortController();
  try {
    return await Promise.race([isOver, changed, delay(repeatMs, false, { signal: waiting.signal, ref: false })]);
  } finally {
    waiting.abort();
  }
}
