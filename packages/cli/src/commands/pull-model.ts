import { access, constants } from 'node:fs/promises';

import { parseModelReference, type ModelStore } from '@skein/node';
import { isSkeinError, SkeinError, type HeldModel } from '@skein/protocol';

import { createProgress } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/**
 * Pulls a model, with progress on stderr.
 *
 * @throws SkeinError as the store does, with advice where no source was reached
 */
export async function pullModel(
  store: Pick<ModelStore, 'pull'>,
  reference: string,
  { stderr, signal }: Pick<CommandContext, 'stderr' | 'signal'>,
): Promise<HeldModel> {
  using progress = createProgress(stderr, { signal });
  try {
    const held = await store.pull(reference, {
      signal,
      onProgress: ({ phase, source, ...bytes }) => progress.show({ label: phase, from: source, ...bytes }),
    });
    progress.complete();
    return held;
  } catch (error) {
    if (!isSkeinError(error) || error.code !== 'model-unreachable') throw error;
    const helps = 'check the network and try again, or download the file elsewhere and pull it by its path';
    throw new SkeinError(error.code, `${error.message}; ${helps}`, { cause: error });
  }
}

/**
 * Checks that a text names a model that a pull could ever get.
 *
 * @throws SkeinError `invalid-request` for a malformed reference, `model-not-found` for a path to nothing
 */
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
