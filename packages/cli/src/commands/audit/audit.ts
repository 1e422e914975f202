import type { Command } from 'commander';

import type { CommandContext } from '../../program/context.ts';
import { registerExport } from './export.ts';
import { registerTail } from './tail.ts';
import { registerVerify } from './verify.ts';

const examples = `
Examples:
  $ skein audit verify                             is the log as the coordinator wrote it?
  $ skein audit tail -n 20 --follow                what happens now
  $ skein audit export --format csv --since 2026-11-01 > november.csv

They read the files in the data directory, whether the daemon runs or not. What is asked and answered is never in them.`;

/** Adds the command `skein audit` to the program. */
export function registerAudit(program: Command, context: CommandContext): void {
  const command = program
    .command('audit')
    .description('Check, show or export the record of who asked what of which machines.')
    .addHelpText('after', examples);
  registerVerify(command, context);
  registerTail(command, context);
  registerExport(command, context);
}
