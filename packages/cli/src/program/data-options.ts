import type { Command } from 'commander';

import { controlSocketPath } from '../control/socket-path.ts';
import { openDataDirectory } from '../data/data-directory.ts';
import type { GlobalOptions } from './context.ts';

export interface OpenedData extends GlobalOptions {
  /** The data directory, made and checked. */
  readonly directory: string;
  readonly controlPath: string;
}

/** Opens the data directory that the command line, the environment or the default names. */
export async function openData(command: Command): Promise<OpenedData> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const directory = await openDataDirectory(options.data);
  return { ...options, directory, controlPath: await controlSocketPath(directory, { platform: process.platform }) };
}
