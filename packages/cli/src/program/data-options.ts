import type { Command } from 'commander';

import { controlSocketPath } from '../control/socket-path.ts';
import { findDataDirectory, openDataDirectory } from '../data/data-directory.ts';
import type { GlobalOptions } from './context.ts';
import { readPassphrase } from './passphrase.ts';

export interface OpenedData extends GlobalOptions {
  /** The data directory, checked. {@link openData} makes it; {@link findData} does not. */
  readonly directory: string;
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
  return await withDirectory(options, await openDataDirectory(options.data));
}

/**
 * Finds the data directory for commands that only read, or ask the daemon: it makes no missing one.
 *
 * @throws SkeinError as {@link openData} does
 */
export async function findData(command: Command): Promise<OpenedData> {
  const options = command.optsWithGlobals<GlobalOptions>();
  return await withDirectory(options, await findDataDirectory(options.data));
}

async function withDirectory(options: GlobalOptions, directory: string): Promise<OpenedData> {
  const { passphraseFile } = options;
  return {
    ...options,
    directory,
    controlPath: await controlSocketPath(directory, { platform: process.platform }),
    passphrase: passphraseFile === undefined ? undefined : await readPassphrase(passphraseFile),
  };
}
