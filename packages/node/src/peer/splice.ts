import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import type { ByteDuplex } from '@skein/mesh';
import { onAbort, SkeinError } from '@skein/protocol';

/**
 * Copies bytes of a ring stream into the engine's pipe, at the pace of the engine. Returns when the stream has ended;
 * throws when it is lost. Aborting the signal gives the stream up.
 */
export async function streamToPipe(stream: ByteDuplex, pipe: Duplex, signal: AbortSignal): Promise<void> {
  using _abort = onAbort(signal, () => stream.abort());
  for await (const chunk of stream.readable) {
    if (!pipe.write(chunk)) await once(pipe, 'drain', { signal });
  }
}

/**
 * Copies the engine's bytes into a ring stream, at the pace of the stream. Nothing comes back on that stream, so its
 * end is the news that the next stage is gone. Returns when the engine has closed its pipe; throws when the stream is
 * over. Aborting the signal gives the stream up.
 */
export async function pipeToStream(pipe: Duplex, stream: ByteDuplex, signal: AbortSignal): Promise<void> {
  using _abort = onAbort(signal, () => stream.abort());
  const write = async (): Promise<void> => {
    for await (const chunk of pipe as AsyncIterable<Uint8Array>) await stream.write(chunk);
  };
  const watch = async (): Promise<never> => {
    for await (const _chunk of stream.readable) break;
    throw new SkeinError('peer-lost', 'the next stage has ended the ring stream');
  };
  const writing = write();
  // An idle engine writes nothing, so this may settle long after the stream is lost: when the pipe closes.
  writing.catch(() => undefined);
  try {
    await Promise.race([writing, watch()]);
  } finally {
    stream.abort();
  }
}
