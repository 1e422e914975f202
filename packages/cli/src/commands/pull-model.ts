import { access, constants } from 'node:fs/promises';

import { parseModelReference, type ModelStore } from '@skein/node';
import { SkeinError, type HeldModel } from '@skein/protocol';

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

/** Throws for what no pull could ever get: `invalid-request` for no reference, `model-not-found` for a path to nothing. */
export async function assertModel(text: string): Promise<void> {
  const reference = parseModelReference(text);
  if (reference.kind !== 'local-file') return;
  const { path } = reference;
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw new SkeinError('model-not-found', `can't read ${path}; check its path and mode`, { cause: error });
  }
}
