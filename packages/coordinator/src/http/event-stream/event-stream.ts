import type { ServerResponse } from 'node:http';

import { errorBody } from '../error-response.ts';
import { NodeBody } from './node-body.ts';
import { WebBody } from './web-body.ts';

/** Where server-sent events go. What is sent to a client that is gone is dropped. */
export interface EventSink {
  /** Sends one event, as JSON. */
  send(data: object): void;
  /** Sends events that are dressed already, as by {@link eventOf}. */
  write(events: string): void;
  /** Undefined while the client keeps up, else what to wait for before more is sent. Never rejects. */
  readonly behind: Promise<void> | undefined;
}

export interface EventStreamOptions {
  /** Node's own response, where the request came through its server. */
  readonly outgoing: ServerResponse | undefined;
  /** Called when the client goes away. */
  readonly cancel: () => void;
  /** Told about an error that became an event. */
  readonly onError: (error: unknown) => void;
}

/** One event as it crosses the wire. */
export function eventOf(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/**
 * Answers with server-sent events. Resolves with the first one: what `produce` throws before it is thrown here and can
 * still get a proper HTTP status. Later an error becomes the last event, since a body that breaks off tells a client nothing.
 */
export async function eventStream(
  produce: (sink: EventSink) => Promise<void>,
  { outgoing, cancel, onError }: EventStreamOptions,
): Promise<Response> {
  let isGone = false;
  let hasBegun = false;
  const onGone = () => {
    isGone = true;
    cancel();
  };
  const body = outgoing === undefined ? new WebBody(onGone) : new NodeBody(outgoing, onGone);
  const write = (events: string) => {
    hasBegun = true;
    if (!isGone) body.write(events);
  };
  const sink: EventSink = {
    write,
    send: (data) => write(eventOf(data)),
    get behind() {
      return isGone ? undefined : body.behind;
    },
  };
  const job = produce(sink)
    .catch((error: unknown) => {
      if (!hasBegun) throw error;
      if (isGone) return;
      onError(error);
      sink.send(errorBody(error));
    })
    .then(() => {
      if (!isGone) body.end();
      return body.begun;
    });
  return await Promise.race([body.begun, job]);
}
