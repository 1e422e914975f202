import type { Mesh } from '@skein/mesh';
import { fromWireError, methods, parseHeader, SkeinError, stageEventSchema, type StageReserve } from '@skein/protocol';

/** Longest wait for a peer to answer, in milliseconds: it only counts. */
const answerMs = 5000;

/**
 * Has a peer keep memory free for a stage, until the result is disposed of or the peer's time for that is over.
 *
 * @throws SkeinError `does-not-fit` where it has no room, with the name of the machine; `stale-lease`; `deadline-exceeded`;
 * those of opening a stream
 */
export async function reserveStage(
  mesh: Pick<Mesh, 'open'>,
  options: {
    readonly peer: string;
    /** Name of its machine, for messages. */
    readonly name: string;
    readonly place: Omit<StageReserve, 'type'>;
    readonly signal: AbortSignal;
  },
): Promise<AsyncDisposable> {
  const { peer, name, place } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(answerMs)]);
  const stream = await mesh.open(peer, methods.stage, { signal });
  try {
    const { lease, ...stage } = place;
    const reserve: StageReserve = { type: 'stage-reserve', ...stage, ...(lease !== undefined && { lease }) };
    await stream.write(reserve, undefined, { signal });
    const event = parseHeader(stageEventSchema, (await stream.read({ signal }))?.header);
    if (event.type === 'stage-failed') throw fromWireError(event.error);
    if (event.type !== 'stage-reserved') {
      throw new SkeinError('protocol-violation', `${name} answered a reservation with ${event.type}`);
    }
  } catch (error) {
    stream.abort();
    throw error;
  }
  return { [Symbol.asyncDispose]: async () => await stream.end().catch(() => stream.abort()) };
}
