import { openCoordinator } from '@skein/client';
import type { Command } from 'commander';

import { printLine, type CommandContext } from '../program/context.ts';
import { openData } from '../program/data-options.ts';
import { localCoordinator } from './local-daemon.ts';

const examples = `
Example:
  $ skein undeploy 0b9c4f1e-8a51-4a0e-9d3b-2f4de1c0a7b6     \`skein status\` lists the ids`;

export function registerUndeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('undeploy')
    .description('Take a deployment down. The model stays where it is held.')
    .argument('<deployment>', 'its id')
    .addHelpText('after', examples)
    .action(async (id: string) => {
      const { url } = await localCoordinator(await openData(command));
      await openCoordinator({ url }).undeploy(id, context);
      printLine(context.stdout, `${id} is taken down.`);
    });
}
