import type { Command } from 'commander';

import { stopDaemon } from '../control/control-client.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';

const examples = `
Example:
  $ skein stop                   returns when the process is gone; fine when none runs`;

/** Adds the command `skein stop` to the program. */
export function registerStop(program: Command, context: CommandContext): void {
  const command = program
    .command('stop')
    .description('Stop the daemon of this data directory, and wait for it.')
    .option('--json', 'print the process id as JSON, null when none ran')
    .addHelpText('after', examples)
    .action(async (flags: { readonly json?: boolean }) => {
      const { controlPath, directory } = await findData(command);
      const pid = await stopDaemon(controlPath, context);
      if (flags.json === true) return printJson(context.stdout, { pid: pid ?? null });
      const what = pid === undefined ? `Skein does not run in ${directory}.` : `Stopped (process ${pid}).`;
      return printLine(context.stdout, what);
    });
}
