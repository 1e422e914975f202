import { drainAnswerSchema, methods, parseHeader, SkeinError, type DrainRequest } from '@skein/protocol';

import type { Mesh } from '../mesh.ts';

/** Longest wait for a peer to write a command to its disk, in milliseconds. */
const answerMs = 10_000;

/**
 * Has a peer take no new stages, or take them again, and sees to it that its card here says so. The stages that it holds
 * stay. A coordinator may.
 *
 * @throws SkeinError the peer's own error, such as `disk-failed`; those of opening a stream; `not-running` from a member
 * that serves nothing; `deadline-exceeded` after ten seconds
 */
export async function drainPeer(
  mesh: Pick<Mesh, 'freshCard' | 'open'>,
  peerId: string,
  { draining, lease }: Omit<DrainRequest, 'type'>,
): Promise<void> {
  const signal = AbortSignal.timeout(answerMs);
  const stream = await mesh.open(peerId, methods.drain, { signal });
  try {
    const request: DrainRequest = { type: 'drain-request', draining, ...(lease !== undefined && { lease }) };
    await stream.write(request, undefined, { signal });
    const frame = await stream.read({ signal });
    if (frame === undefined) throw new SkeinError('peer-lost', 'ended the stream without an answer');
    parseHeader(drainAnswerSchema, frame.header);
  } finally {
    await stream.end({ timeoutMs: 1000 }).catch(() => stream.abort());
  }
  await mesh.freshCard(peerId, { signal });
}
