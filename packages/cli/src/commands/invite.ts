import { SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { askInvite } from '../control/control-client.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';

const examples = `
Example:
  $ skein invite

Whoever has the invite can join the mesh, and then read what is asked there. Treat it as a password.`;

export function registerInvite(program: Command, context: CommandContext): void {
  const command = program
    .command('invite')
    .description('Print the line that lets a machine join the mesh that this one is in.')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples)
    .action(async (flags: { readonly json?: boolean }) => {
      const { controlPath, directory } = await findData(command);
      const invite = await askInvite(controlPath);
      if (invite === undefined) {
        throw new SkeinError('not-running', `Skein does not run in ${directory}; start it with \`skein up\``);
      }
      if (flags.json === true) return printJson(context.stdout, { invite });
      return printLine(context.stdout, `skein join ${invite}`);
    });
}
