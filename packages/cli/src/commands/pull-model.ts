import type { ModelStore } from '@skein/node';
import type { HeldModel } from '@skein/protocol';

import { createProgress } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/** Pulls a model, with progress on stderr. */
export async function pullModel(
  store: ModelStore,
  reference: string,
  { stderr, signal }: Pick<CommandContext, 'stderr' | 'signal'>,
): Promise<HeldModel> {
  using progress = createProgress(stderr, { signal });
  const held = await store.pull(reference, {
    signal,
    onProgress: ({ phase, source, ...bytes }) => progress.show({ label: phase, from: source, ...bytes }),
  });
  progress.complete();
  return held;
}
