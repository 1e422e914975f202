import { buffer } from 'node:stream/consumers';

import type { ModelSource, ReadOptions } from '../model-source.ts';

/** Opens a source and reads its file to the end. */
export async function readOffer(source: ModelSource, options: Partial<ReadOptions> = {}): Promise<Buffer> {
  const signal = options.signal ?? new AbortController().signal;
  const offer = await source.open({ signal });
  const whole = { offset: 0, end: offer.bytes, scratchDirectory: '', onArrived: () => {}, signal };
  return await buffer(offer.read({ ...whole, ...options }));
}
