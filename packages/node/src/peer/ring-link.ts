import type { FrameStream, Mesh } from '@skein/mesh';
import { methods, parseHeader, ringOpenAnswerSchema, SkeinError, type RingOpen } from '@skein/protocol';

const openTimeoutMs = 10_000;

/**
 * Opens the ring stream to the peer of the next stage.
 *
 * @throws SkeinError that peer's refusal, or the errors of opening a stream
 */
export async function openRing(
  mesh: Pick<Mesh, 'open'>,
  next: { readonly peer: string; readonly ringOpen: Omit<RingOpen, 'type'> },
  signal: AbortSignal,
): Promise<FrameStream> {
  const stream = await mesh.open(next.peer, methods.ring, { signal });
  try {
    await stream.write({ type: 'ring-open', ...next.ringOpen } satisfies RingOpen);
    const frame = await stream.read({ signal, timeoutMs: openTimeoutMs });
    if (frame === undefined) throw new SkeinError('peer-lost', 'the next stage closed the ring before it was open');
    parseHeader(ringOpenAnswerSchema, frame.header);
    return stream;
  } catch (error) {
    stream.abort();
    throw error;
  }
}
