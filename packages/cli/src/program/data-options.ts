import { isAnything } from '@skein/mesh';
import type { Command } from 'commander';

import { controlSocketPath } from '../control/socket-path.ts';
import { findDataDirectory, isOpenToOthers, openDataDirectory } from '../data/data-directory.ts';
import type { GlobalOptions } from './context.ts';
import { readPassphrase } from './passphrase.ts';

export interface OpenedData extends GlobalOptions {
  /** The data directory, checked. {@link openData} makes it; {@link findData} does not. */
  readonly directory: string;
  /** Whether other users can enter it; its keys are encrypted then. */
  readonly isOpen: boolean;
  readonly controlPath: string;
  /** Passphrase of the keys in it. */
  readonly passphrase: string | undefined;
}

/**
 * Opens the data directory that the command line, the environment or the default names.
 *
 * @throws SkeinError `disk-failed` when it can't be used, `invalid-request` for a passphrase file that can't be
 */
export async function openData(command: Command): Promise<OpenedData> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const passphrase = await passphraseOf(options);
  return await withDirectory(options, { directory: await openDataDirectory(options.data, { passphrase }), passphrase });
}

/**
 * Finds the data directory for commands that only read, or ask the daemon: it makes no missing one.
 *
 * @throws SkeinError as {@link openData} does
 */
export async function findData(command: Command): Promise<OpenedData> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const passphrase = await passphraseOf(options);
  return await withDirectory(options, { directory: await findDataDirectory(options.data, { passphrase }), passphrase });
}

async function passphraseOf({ passphraseFile }: GlobalOptions): Promise<string | undefined> {
  return passphraseFile === undefined ? undefined : await readPassphrase(passphraseFile);
}

async function withDirectory(
  options: GlobalOptions,
  data: { readonly directory: string; readonly passphrase: string | undefined },
): Promise<OpenedData> {
  const { directory } = data;
  const isOpen = (await isAnything(directory)) && (await isOpenToOthers(directory));
  return {
    ...options,
    ...data,
    isOpen,
    controlPath: await controlSocketPath(directory, { platform: process.platform, isOpen }),
  };
}
