import {
  fromWireError,
  generationEventSchema,
  methods,
  parseHeader,
  SkeinError,
  type GenerationEvent,
  type GenerationRequest,
} from '@skein/protocol';

import type { Mesh } from '../mesh.ts';
import { onAbort } from '../streams/wait.ts';

/** What is yielded: text as it comes, then one end. Errors are thrown. */
export type GenerationUpdate = Exclude<GenerationEvent, { type: 'generation-error' }>;

/**
 * Generates at a lead. Leaving the loop or aborting the signal gives the sequence up at once, there as here. Throws the
 * lead's error, `peer-lost` when the stream stops before its end, `aborted`.
 */
export async function* generate(
  mesh: Pick<Mesh, 'open'>,
  peerId: string,
  request: Omit<GenerationRequest, 'type'>,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<GenerationUpdate, void, undefined> {
  const { signal } = options;
  const stream = await mesh.open(peerId, methods.generate, { signal });
  // Between two reads, too: the lead must not go on for a caller that is gone.
  using _abort = onAbort(signal, () => stream.abort());
  let finished = false;
  try {
    await stream.write({ type: 'generate', ...request }, undefined, { signal });
    while (!finished) {
      const frame = await stream.read({ signal });
      if (frame === undefined) throw new SkeinError('peer-lost', 'the lead stopped before the end of the generation');
      const event = parseHeader(generationEventSchema, frame.header);
      if (event.type === 'generation-error') throw fromWireError(event.error);
      finished = event.type === 'generation-end';
      if (finished) await stream.end({ timeoutMs: 1000 }).catch(() => stream.abort());
      yield event;
    }
  } finally {
    if (!finished) stream.abort();
  }
}
