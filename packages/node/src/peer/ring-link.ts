import type { FrameStream } from '@skein/mesh';
import {
  fromWireError,
  methods,
  parseHeader,
  ringOpenAnswerSchema,
  SkeinError,
  type Method,
  type RingOpen,
} from '@skein/protocol';

import type { EngineProcess } from '../engine/process/engine-process.ts';
import { pipeToStream, streamToPipe } from './splice.ts';

const openTimeoutMs = 10_000;

/** Opens the ring stream to the peer of the next stage. Throws that peer's refusal. */
export async function openRing(
  open: (peerId: string, method: Method, options: { signal?: AbortSignal }) => Promise<FrameStream>,
  next: { peerId: string; ringOpen: Omit<RingOpen, 'type'> },
  signal: AbortSignal,
): Promise<FrameStream> {
  const stream = await open(next.peerId, methods.ring, { signal });
  try {
    await stream.write({ type: 'ring-open', ...next.ringOpen } satisfies RingOpen);
    const frame = await stream.read({ signal, timeoutMs: openTimeoutMs });
    if (frame === undefined) throw new SkeinError('peer-lost', 'the next stage closed the ring before it was open');
    const answer = parseHeader(ringOpenAnswerSchema, frame.header);
    if (answer.type === 'ring-error') throw fromWireError(answer.error);
    return stream;
  } catch (error) {
    stream.abort();
    throw error;
  }
}

/**
 * Sends what the engine computes to the next stage until either end closes.
 *
 * @throws SkeinError `stage-lost` when the next stage goes away first
 */
export async function feedNextStage(engine: EngineProcess, stream: FrameStream): Promise<void> {
  const duplex = stream.detach();
  // Nothing comes back on this stream, so its end is the news that the next stage is gone.
  const watch = (async () => {
    for await (const _chunk of duplex.readable)
      throw new SkeinError('protocol-violation', 'bytes came back on a ring stream');
  })();
  const feed = pipeToStream(engine.ring, duplex);
  try {
    await Promise.race([feed, watch]);
  } finally {
    duplex.abort();
    await Promise.allSettled([feed, watch]);
  }
}

/** Gives the engine what the stage before sends, until either end closes. */
export async function feedFromPreviousStage(
  engine: EngineProcess,
  stream: FrameStream,
  signal: AbortSignal,
): Promise<void> {
  await streamToPipe(stream.detach(), engine.ring, signal);
}
