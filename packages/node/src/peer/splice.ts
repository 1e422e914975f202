import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import type { ByteDuplex } from '@skein/mesh';

/** Copies what a ring stream brings into the engine's pipe, at the pace of the engine. Returns when the stream has ended. */
export async function streamToPipe(stream: ByteDuplex, pipe: Duplex, signal: AbortSignal): Promise<void> {
  for await (const chunk of stream.readable) {
    if (!pipe.write(chunk)) await once(pipe, 'drain', { signal });
  }
}

/** Copies what the engine sends into a ring stream, at the pace of the stream. Returns when the engine has closed its pipe. */
export async function pipeToStream(pipe: Duplex, stream: ByteDuplex): Promise<void> {
  for await (const chunk of pipe as AsyncIterable<Uint8Array>) await stream.write(chunk);
}
