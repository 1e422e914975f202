import { buffer } from 'node:stream/consumers';

import type { ModelSource, ReadOptions } from '../model-source.ts';

/** Opens a source and reads its file to the end. */
export async function readOffer(source: ModelSource, options: Partial<ReadOptions> = {}): Promise<Buffer> {
  const signal = options.signal ?? new AbortController().signal;
  const offer = await source.open({ signal });
  return await buffer(offer.read({ offset: 0, scratchDirectory: '', onArrived: () => {}, signal, ...options }));
}
