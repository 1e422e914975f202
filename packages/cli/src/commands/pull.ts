import { openStore } from '@skein/node';
import { formatBytes } from '@skein/protocol';
import type { Command } from 'commander';

import { announceModels } from '../control/control-client.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { openData } from '../program/data-options.ts';
import { createLogger } from '../program/logger.ts';
import { pullModel } from './pull-model.ts';

const examples = `
Examples:
  $ skein pull smollm2-135m-instruct
  $ skein pull ~/models/llama-3.2-1b-q4_k_m.gguf
  $ skein pull hf:owner/repository/file.gguf
  $ skein pull hf:owner/repository/big-00001-of-00003.gguf

Parts of a model (-00001-of-00003.gguf) become one file; name any of them.
The file is checked before it is used; an interrupted pull goes on where it stopped.
A daemon that runs in the same data directory offers the model to the mesh at once.`;

/** Adds the command `skein pull` to the program. */
export function registerPull(program: Command, context: CommandContext): void {
  const command = program
    .command('pull')
    .description('Get a model onto this machine.')
    .argument('<model>', 'a name that Skein knows, the path of a .gguf, or hf:owner/repository/file.gguf')
    .option('--json', 'print what is held as JSON')
    .addHelpText('after', examples)
    .action(async (reference: string, flags: { readonly json?: boolean }) => {
      const { directory, controlPath, logLevel } = await openData(command);
      const store = await openStore(directory, { logger: createLogger(context.stderr, logLevel) });
      const held = await pullModel(store, reference, context);
      await announceModels(controlPath);
      if (flags.json === true) return printJson(context.stdout, held);
      return printLine(context.stdout, `${held.name} is here: ${formatBytes(held.bytes)}, SHA-256 ${held.model}`);
    });
}
