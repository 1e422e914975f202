import { asSkeinError, isSkeinError, SkeinError, type Logger, type Method } from '@skein/protocol';

import type { MemberAdmission } from '../admission/member-admission.ts';
import type { Denial } from '../membership/denials.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import type { TrafficCounter } from '../streams/traffic.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection, Transport } from '../transport/transport.ts';
import type { RemoteLimits } from './remote-limits.ts';

/** The end that opened a stream. */
export interface Remote {
  readonly peerId: string;
  /** Aborts when the remote is gone or has given the stream up. The same as the stream's `lost`. */
  readonly signal: AbortSignal;
  /** Host name or address that it calls from; undefined for ourselves. */
  readonly host?: string | undefined;
}

/**
 * A handler that answers one stream. When it returns, our side of the stream is ended; its error is sent as a
 * `stream-error`, in its public form.
 */
export type StreamHandler = (stream: FrameStream, remote: Remote) => Promise<void>;

// After our end the remote may still be reading or writing; a remote that never ends must not hold the stream.
const lingerMs = 10_000;
// Room for the transport's own count, so that a stream over the limit reaches us and is refused with a reason.
const refusalStreams = 16;

export interface ServeComponents {
  readonly transport: Transport;
  readonly admission: MemberAdmission;
  readonly traffic: TrafficCounter;
  readonly limits: RemoteLimits;
  readonly onDenied: (denial: Omit<Denial, 'count'>) => void;
  readonly logger: Logger;
}

/** Accepts streams of a method. `find` returns its handler at the time of a call. */
export async function serve(
  components: ServeComponents,
  method: Method,
  find: () => StreamHandler | undefined,
): Promise<void> {
  const { transport, admission, traffic, limits, onDenied, logger } = components;
  const openStreams = new Map<string, number>();

  const answer = async (stream: ByteStream, connection: Connection): Promise<void> => {
    const { remotePeerId: peerId, remoteHost: host } = connection;
    // Of strangers nothing is remembered: there is no end of them.
    const isMember = method.callers !== 'anybody';
    const frames = new FrameStream(stream, {
      maxFrameBytes: method.maxFrameBytes,
      maxHeaderBytes: method.maxHeaderBytes,
      firstReadTimeoutMs: method.openTimeoutMs,
      ...(isMember && { limits: limits.of(peerId, method), meter: traffic.meter(peerId) }),
    });
    const open = (openStreams.get(peerId) ?? 0) + 1;
    openStreams.set(peerId, open);
    const handler = open > method.maxInboundStreams ? refuseOverload(method) : find();
    await answerStream({ frames, handler, method, remote: { peerId, host }, logger });
    const left = (openStreams.get(peerId) ?? 1) - 1;
    if (left > 0) openStreams.set(peerId, left);
    else openStreams.delete(peerId);
  };

  /** Refuses a stream: cuts a stranger off, and sends the reason to a member that lacks a role. */
  const refuse = (stream: ByteStream, connection: Connection, reason: unknown): void => {
    const { remotePeerId: peerId, remoteHost: address } = connection;
    const error = asSkeinError(reason);
    logger.debug({ peer: peerId, method: method.id, code: error.code }, 'stream refused');
    onDenied({ reason: error.code, address, peer: peerId });
    if (error.code === 'not-permitted') {
      void new FrameStream(stream, method).fail(error);
      return;
    }
    stream.abort(error);
    connection.abort(error);
  };

  const maxInboundStreams = method.maxInboundStreams + refusalStreams;
  await transport.accept(method.id, { maxInboundStreams }, (stream, connection) => {
    try {
      admission.assertMayCall(connection, method);
      void answer(stream, connection);
    } catch (error) {
      refuse(stream, connection, error);
    }
  });
}

/** Runs a handler on one stream, and ends the stream afterwards. Never throws. */
export async function answerStream(call: {
  readonly frames: FrameStream;
  readonly handler: StreamHandler | undefined;
  readonly method: Method;
  readonly remote: Omit<Remote, 'signal'>;
  readonly logger: Logger;
}): Promise<void> {
  const { frames, handler, method, remote, logger } = call;
  try {
    if (handler === undefined) throw new SkeinError('not-running', `this member doesn't serve ${method.id}`);
    await handler(frames, { ...remote, signal: frames.lost });
    await frames.end();
  } catch (error) {
    const fields = { peer: remote.peerId, method: method.id, error };
    // An error that is not ours is a bug. Ours are told to the remote, and a lost stream is everyday life.
    if (isSkeinError(error) || frames.lost.aborted) logger.debug(fields, 'a stream was refused or lost');
    else logger.error(fields, 'a stream handler failed');
    await frames.fail(error);
  }
  const timer = setTimeout(() => frames.abort(), lingerMs);
  await frames.closed;
  clearTimeout(timer);
}

function refuseOverload(method: Method): StreamHandler {
  return async () => {
    throw new SkeinError('overloaded', `more than ${method.maxInboundStreams} open streams of ${method.id}`);
  };
}
