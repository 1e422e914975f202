import { access, constants } from 'node:fs/promises';

import { mayBePath, parseModelReference, type ModelReference, type ModelStore, type SourceSettings } from '@skein/node';
import { isAnything } from '@skein/mesh';
import { isSkeinError, SkeinError, type HeldModel } from '@skein/protocol';

import { createProgress } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/**
 * Parses a reference to a model to pull, by hand of the person who typed it.
 *
 * @throws SkeinError `invalid-request` for a malformed one, and for one that is the path of something here as well
 */
export async function readReference(
  text: string,
  options: { readonly revision?: string | undefined } = {},
): Promise<ModelReference> {
  const reference = parseModelReference(text, options);
  if (reference.kind === 'repository' && mayBePath(text) && (await isAnything(text))) {
    const fix = `write hf:${text} for the repository, or the path of a .gguf`;
    throw new SkeinError('invalid-request', `there is something at ${text} on this machine, too; ${fix}`);
  }
  return reference;
}

/**
 * Pulls a model, with progress on stderr.
 *
 * @param sources settings of this machine for sources on the network
 * @throws SkeinError as the store does, with advice where no source was reached
 */
export async function pullModel(
  store: Pick<ModelStore, 'pull'>,
  reference: string | ModelReference,
  { stderr, signal }: Pick<CommandContext, 'stderr' | 'signal'>,
  sources: SourceSettings = {},
): Promise<HeldModel> {
  using progress = createProgress(stderr, { signal });
  try {
    const held = await store.pull(reference, {
      signal,
      sources,
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
  const reference = await readReference(text);
  if (reference.kind !== 'local-file') return;
  const { path } = reference;
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw new SkeinError('model-not-found', `can't read ${path}; check its path and mode`, { cause: error });
  }
}
