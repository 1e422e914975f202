import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';

import {
  findLocalModel,
  isLocalModelReference,
  localModelPlaces,
  mayBePath,
  parseModelReference,
  readSourceSettings,
  type LocalModelPlaces,
  type ModelReference,
  type ModelStore,
} from '@skein/node';
import { isAnything } from '@skein/mesh';
import { isSkeinError, SkeinError, type HeldModel } from '@skein/protocol';

import { createProgress } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/** A person's wishes for a pull, beside the model. */
export interface PullWishes {
  /** Branch, tag or commit of the repository. */
  readonly revision?: string | undefined;
  /** File with an access token for the repository. */
  readonly tokenFile?: string | undefined;
  /** Whether nobody will write to the file at the given path, so that it may be linked. */
  readonly link?: boolean | undefined;
}

type PullContext = Pick<CommandContext, 'stderr' | 'signal' | 'environment'>;

/**
 * Reads the reference to a model to pull that a person typed. Asks nobody but this machine's disk.
 *
 * @throws SkeinError `invalid-request` for a malformed one, for one that is the path of something here as well, and for
 * wishes that it can't have; `model-not-found` for a model that no other program here holds
 */
export async function readReference(
  text: string,
  { environment }: Pick<CommandContext, 'environment'>,
  { revision, link }: PullWishes = {},
): Promise<ModelReference> {
  const reference = isLocalModelReference(text)
    ? await findLocalModel(text, ownModelPlaces(environment))
    : parseModelReference(text, { revision });
  if (reference.kind === 'repository' && mayBePath(text) && (await isAnything(text))) {
    const fix = `write hf:${text} for the repository, or the path of a .gguf`;
    throw new SkeinError('invalid-request', `there is something at ${text} on this machine, too; ${fix}`);
  }
  if (link !== true) return reference;
  if (reference.kind === 'local-file') return { ...reference, isFinal: true };
  throw new SkeinError('invalid-request', '--link is for a file on this machine; leave it out, or name a path');
}

/** Returns the directories of this user in which other programs keep models. */
export function ownModelPlaces(environment: CommandContext['environment']): LocalModelPlaces {
  return localModelPlaces({ environment, home: environment['HOME'] ?? homedir(), platform: process.platform });
}

/**
 * Pulls a model, with progress on stderr.
 *
 * @throws SkeinError as {@link readReference} and the store do, with advice where no source was reached
 */
export async function pullModel(
  store: Pick<ModelStore, 'pull'>,
  text: string,
  context: PullContext,
  wishes: PullWishes = {},
): Promise<HeldModel> {
  const { stderr, signal, environment } = context;
  const reference = await readReference(text, context, wishes);
  const sources = await readSourceSettings(environment, wishes);
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
 * Reads a reference as {@link readReference} does, and checks that a pull could ever get its model.
 *
 * @throws SkeinError `invalid-request` for a malformed reference, `model-not-found` for a path to nothing
 */
export async function readPullable(
  text: string,
  context: Pick<CommandContext, 'environment'>,
): Promise<ModelReference> {
  const reference = await readReference(text, context);
  if (reference.kind !== 'local-file') return reference;
  const { path } = reference;
  try {
    await access(path, constants.R_OK);
    return reference;
  } catch (error) {
    throw new SkeinError('model-not-found', `can't read ${path}; check its path and mode`, { cause: error });
  }
}
