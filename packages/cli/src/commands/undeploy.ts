import type { Deployment } from '@skein/client';
import type { Command } from 'commander';

import { counted } from '../output/format.ts';
import { deploymentsOf } from '../overview/deployments.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { resolveId } from '../program/resolve-id.ts';
import { localCoordinator } from './local-daemon.ts';

interface UndeployFlags {
  readonly now?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein undeploy 0b9c4f1e-8a51-4a0e-9d3b-2f4de1c0a7b6     \`skein status\` lists the ids
  $ skein undeploy 0b9c                                     the same, when no other starts like this
  $ skein undeploy 0b9c --now                               cuts the answers that run

It takes no more requests at once, and is gone when the answers that run have ended. Ctrl-C ends the waiting for that, not
the taking down.`;

/** Adds the command `skein undeploy` to the program. */
export function registerUndeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('undeploy')
    .description('Take a deployment down when the answers that run have ended. The model stays where it is held.')
    .argument('<deployment>', 'its id, or so much of its start or end that it is no other')
    .option('--now', 'cut the answers that run')
    .option('--json', 'print the id as JSON')
    .addHelpText('after', examples)
    .action(async (text: string, { now, json }: UndeployFlags) => {
      const { stdout, stderr, signal } = context;
      const { coordinator, cards } = await localCoordinator(await findData(command));
      // Failed ones are on no card; others' are on cards alone, and the coordinator says whose they are.
      const own = await coordinator.deployments({ signal });
      const ids = new Set([...own, ...deploymentsOf(cards)].map(({ id: each }) => each));
      const words = { kind: 'deployment', list: 'skein status' };
      const id = resolveId(
        text,
        [...ids].map((each) => ({ id: each })),
        words,
      );
      let shown: number | undefined;
      const onProgress = ({ running }: Deployment): void => {
        if (running === undefined || running === 0 || running === shown) return;
        const advice =
          shown === undefined ? `; \`skein undeploy ${id} --now\` cuts them, Ctrl-C only stops waiting` : '';
        printLine(stderr, `waiting for ${counted(running, 'answer', 'answers')} to end${advice}`);
        shown = running;
      };
      await coordinator.undeploy(id, { signal, now, onProgress });
      if (json === true) return printJson(stdout, { id });
      return printLine(stdout, `${id} is taken down.`);
    });
}
