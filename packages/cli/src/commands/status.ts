import type { Command } from 'commander';

import { deploymentsOf } from '../overview/deployments.ts';
import { describeMesh } from '../overview/describe-mesh.ts';
import { placerOf } from '../overview/placer.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { localDaemon } from './local-daemon.ts';

const examples = `
Examples:
  $ skein status
  $ skein status --json | jq '.deployments[].stages'`;

/** Adds the command `skein status` to the program. */
export function registerStatus(program: Command, context: CommandContext): void {
  const command = program
    .command('status')
    .description('Show the mesh: members, hardware, models, who holds which layers, load.')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples)
    .action(async (flags: { readonly json?: boolean }) => {
      const status = await localDaemon(await findData(command));
      if (flags.json !== true) return printLine(context.stdout, describeMesh(status));
      const { cards, ...facts } = status;
      const placer = placerOf(cards);
      return printJson(context.stdout, {
        ...facts,
        ...(placer !== undefined && { placer }),
        members: cards,
        deployments: deploymentsOf(cards),
      });
    });
}
