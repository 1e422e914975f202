import type { ServerResponse } from 'node:http';

import { onAbort } from '@skein/protocol';

import type { Schedule } from '../../timers.ts';
import { errorEvent } from '../error-response.ts';
import { NodeBody, WebBody } from './body.ts';

/** A sink of server-sent events. Those for a client that is gone are kept alone, where there is somebody to keep them. */
export interface EventSink {
  /** Sends status and headers now. From then on an error is an event, and comments keep the connection alive. */
  open(): void;
  /** Sends a comment, which clients skip. It is kept for nobody. */
  comment(text: string): void;
  /** Sends one event, as JSON. */
  send(data: object): void;
  /** Sends one event that is formatted already, as by {@link eventOf}. */
  write(event: string): void;
  /** Undefined while the client keeps up, else a promise to await before more is sent. Never rejects. */
  readonly behind: Promise<void> | undefined;
}

/** A stream that a client can continue on another connection. */
export interface ContinuedStream {
  /** Keeps an event. Returns it as it is to be sent, with its id; empty for one that the client has already. */
  append(event: string): string;
  /** Events that the client has missed, with their ids; undefined on the first connection. */
  readonly missed: string | undefined;
  /** Aborts when the client is gone, or another connection takes the stream over, which is the same to this one. */
  readonly gone: AbortSignal;
  /** Called when nothing is added on this connection any more. */
  onOver(): void;
}

export interface EventStreamOptions {
  /** Node's own response, where the request came through its server. */
  readonly outgoing: ServerResponse | undefined;
  /** Called when the client goes away. */
  readonly cancel: () => void;
  /** Called with an error that became an event. */
  readonly onError: (error: unknown) => void;
  readonly schedule: Schedule;
  /** Default: nobody can continue it. */
  readonly stream?: ContinuedStream | undefined;
}

/**
 * Pause between two looks at a stream, in milliseconds. It gets a comment when nothing was sent since, so it is never
 * silent for twice as long.
 */
const keepAliveMs = 5000;
/** A comment: clients skip it. Clients and proxies give up on connections that are silent for 30 s or more. */
const keepAlive = commentOf('keep-alive');

/** Formats a comment as it crosses the wire. */
function commentOf(text: string): string {
  return `: ${text}\n\n`;
}

/** Formats one event as it crosses the wire. */
export function eventOf(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/**
 * Answers with server-sent events. Resolves once the headers are out, with the first event or because `produce` opened
 * the stream. An error of `produce` before that is thrown here and can still get a proper HTTP status. A later one
 * becomes the last event, since a body that breaks off tells a client nothing.
 */
export async function eventStream(
  produce: (sink: EventSink) => Promise<void>,
  { outgoing, cancel, onError, schedule, stream }: EventStreamOptions,
): Promise<Response> {
  let isGone = false;
  let hasBegun = false;
  let isQuiet = true;
  let timer: Disposable | undefined;
  const onGone = () => {
    if (isGone) return;
    isGone = true;
    cancel();
  };
  const body = outgoing === undefined ? new WebBody(onGone) : new NodeBody(outgoing, onGone);
  const look = () => {
    if (isGone) return;
    // A client that is behind has enough to read.
    if (isQuiet && body.behind === undefined) body.write(keepAlive);
    isQuiet = true;
    timer = schedule(keepAliveMs, look);
  };
  const begin = () => {
    if (hasBegun) return;
    hasBegun = true;
    timer = schedule(keepAliveMs, look);
  };
  const write = (event: string) => {
    begin();
    const text = stream === undefined ? event : stream.append(event);
    if (text === '') return;
    isQuiet = false;
    if (!isGone) body.write(text);
  };
  const sink: EventSink = {
    open: () => {
      begin();
      if (!isGone) body.open();
    },
    comment: (text) => {
      begin();
      isQuiet = false;
      if (!isGone) body.write(commentOf(text));
    },
    write,
    send: (data) => write(eventOf(data)),
    get behind() {
      return isGone ? undefined : body.behind;
    },
  };
  const job = carry();
  return await Promise.race([body.begun, job]);

  async function carry(): Promise<Response> {
    using _gone = onAbort(stream?.gone, () => {
      onGone();
      body.destroy();
    });
    try {
      if (stream?.missed !== undefined) {
        sink.open();
        if (!isGone && stream.missed !== '') body.write(stream.missed);
      }
      await produce(sink);
    } catch (error) {
      if (!hasBegun) throw error;
      if (!isGone) {
        onError(error);
        sink.send(errorEvent(error));
      }
    } finally {
      timer?.[Symbol.dispose]();
      stream?.onOver();
    }
    if (!isGone) body.end();
    return await body.begun;
  }
}
