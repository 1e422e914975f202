import { openCoordinator } from '@skein/client';
import { SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { localCoordinator } from './local-daemon.ts';

const examples = `
Examples:
  $ skein undeploy 0b9c4f1e-8a51-4a0e-9d3b-2f4de1c0a7b6     \`skein status\` lists the ids
  $ skein undeploy 0b9c                                     the same, when no other starts like this`;

export function registerUndeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('undeploy')
    .description('Take a deployment down. The model stays where it is held.')
    .argument('<deployment>', 'its id, or so much of its start that it is no other')
    .option('--json', 'print the id as JSON')
    .addHelpText('after', examples)
    .action(async (text: string, flags: { readonly json?: boolean }) => {
      const coordinator = openCoordinator(await localCoordinator(await findData(command)));
      const id = idOf(
        text,
        (await coordinator.deployments(context)).map((deployment) => deployment.id),
      );
      await coordinator.undeploy(id, context);
      if (flags.json === true) return printJson(context.stdout, { id });
      return printLine(context.stdout, `${id} is taken down.`);
    });
}

/** The one id that is meant. What is none is left as it is, for the coordinator to say so. Throws `invalid-request`. */
export function idOf(text: string, ids: readonly string[]): string {
  if (text === '' || ids.includes(text)) return text;
  const [found, ...others] = ids.filter((id) => id.startsWith(text));
  if (others.length === 0) return found ?? text;
  const all = [found, ...others].join(', ');
  throw new SkeinError('invalid-request', `several deployments start with ${text}: ${all}; name more of the one`);
}
