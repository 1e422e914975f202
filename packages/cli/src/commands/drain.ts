import { shortPeer, type Card, type DrainStatus } from '@skein/protocol';
import type { Command } from 'commander';

import { counted } from '../output/format.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { resolveId } from '../program/resolve-id.ts';
import { localCoordinator } from './local-daemon.ts';

interface DrainFlags {
  readonly force?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein drain attic              moves what attic serves to other machines, without a break for readers
  $ skein drain attic --force      takes down what has no room elsewhere, once its answers have ended
  $ skein undrain attic            has attic take stages again

Run it where the coordinator runs. A drained machine takes no stages, also after a restart. Nothing is changed where a
deployment has no room elsewhere. Ctrl-C ends the waiting, not the draining.`;

/** Adds the commands `skein drain` and `skein undrain` to the program. */
export function registerDrain(program: Command, context: CommandContext): void {
  const { stdout, stderr, signal } = context;
  const drain = program
    .command('drain')
    .description('Move everything off a machine, before it is restarted or taken away. Answers go on elsewhere.')
    .argument('<machine>', 'its name, its peer id, or the start or end of that')
    .option('--force', 'take down what has no room elsewhere, once its answers have ended')
    .option('--json', 'print what was moved as JSON')
    .addHelpText('after', examples)
    .action(async (text: string, { force, json }: DrainFlags) => {
      const { coordinator, cards } = await localCoordinator(await findData(drain));
      const peer = findMachine(text, cards);
      const told = new Set<string>();
      const onProgress = (status: DrainStatus): void => {
        for (const line of describe(status).filter((one) => !told.has(one))) {
          told.add(line);
          printLine(stderr, line);
        }
      };
      const status = await coordinator.drain(peer, { signal, force, onProgress });
      if (json === true) return printJson(stdout, status);
      const own = new Set(status.moves.map(({ id }) => id));
      const rest = cards.find((card) => card.peer === peer)?.stages.filter(({ deployment }) => !own.has(deployment));
      const others =
        rest === undefined || rest.length === 0
          ? ''
          : ` ${counted(rest.length, 'stage', 'stages')} of other coordinators stay there; drain it on their machines, too.`;
      return printLine(
        stdout,
        `${nameOf(peer, cards)} is drained and takes no stages until \`skein undrain\`.${others}`,
      );
    });

  const undrain = program
    .command('undrain')
    .description('Have a drained machine take stages again.')
    .argument('<machine>', 'its name, its peer id, or the start or end of that')
    .option('--json', 'print the peer id as JSON')
    .addHelpText('after', '\nExamples:\n  $ skein undrain attic')
    .action(async (text: string, { json }: DrainFlags) => {
      const { coordinator, cards } = await localCoordinator(await findData(undrain));
      const peer = findMachine(text, cards);
      await coordinator.undrain(peer, { signal });
      if (json === true) return printJson(stdout, { peer });
      return printLine(stdout, `${nameOf(peer, cards)} takes stages again. What was moved off it stays where it is.`);
    });
}

function findMachine(text: string, cards: readonly Card[]): string {
  const serving = cards.filter(({ roles }) => roles.includes('peer'));
  const named = serving.map(({ peer, name }) => ({ id: peer, name }));
  return resolveId(text, named, { kind: 'machine', list: 'skein status' });
}

function nameOf(peer: string, cards: readonly Card[]): string {
  return cards.find((card) => card.peer === peer)?.name ?? `…${shortPeer(peer)}`;
}

/** Says for each deployment what is being done, in a line each. */
function describe({ moves }: DrainStatus): readonly string[] {
  return moves.flatMap(({ id, name, step, running = 0 }) => {
    const deployment = `${name} (${id})`;
    const answers =
      running === 0 ? [] : [`waiting for ${counted(running, 'answer', 'answers')} of ${deployment} to end`];
    switch (step) {
      case 'replacing':
        return [`making a replica of ${deployment} ready elsewhere`];
      case 'handing-over':
        return answers;
      case 'ending':
        return [`there is no room elsewhere for ${deployment}; it ends with its answers`, ...answers];
      case 'gone':
        return [`${deployment} is gone from here`];
    }
  });
}
