import type { Command } from 'commander';

import { controlSocketPath } from '../control/socket-path.ts';
import { findDataDirectory, openDataDirectory } from '../data/data-directory.ts';
import type { GlobalOptions } from './context.ts';
import { readPassphrase } from './passphrase.ts';

export interface OpenedData extends GlobalOptions {
  /** The data directory, checked; made, unless it was only looked for. */
  readonly directory: string;
  readonly controlPath: string;
  /** Of the keys that lie in it. */
  readonly passphrase: string | undefined;
}

/** Opens the data directory that the command line, the environment or the default names. */
export async function openData(command: Command): Promise<OpenedData> {
  const options = command.optsWithGlobals<GlobalOptions>();
  return await withDirectory(options, await openDataDirectory(options.data));
}

/** The same for commands that only look, or ask the daemon: a directory that is not there stays away. */
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
