import { isAnything } from '@skein/mesh';
import { openStore } from '@skein/node';
import { formatBytes, SkeinError, type DaemonStatus, type HeldModel } from '@skein/protocol';
import type { Command } from 'commander';

import { announceModels, askStatus } from '../control/control-client.ts';
import { exitCodes } from '../process/exit-codes.ts';
import { deploymentsOf } from '../overview/deployments.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { createLogger } from '../program/logger.ts';

interface RmFlags {
  readonly interrupted?: boolean;
  readonly stages?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein rm smollm2-135m-instruct     by its name, another name or its SHA-256; \`skein models\` lists them
  $ skein rm --interrupted             what pulls have left that were interrupted
  $ skein rm --stages                  all stage files of this machine, which are fetched anew when they are needed

Its stage files on this machine go with it. Other machines keep what they hold.
A model is not removed while this machine computes with it, nor while it is deployed and no other machine holds it.`;

/** Adds the command `skein rm` to the program. */
export function registerRm(program: Command, context: CommandContext): void {
  const command = program
    .command('rm')
    .description('Remove a model from this machine, and say how much room that frees.')
    .argument('[model]', 'its name, or its SHA-256')
    .option('--interrupted', 'remove what interrupted pulls have left instead')
    .option('--stages', 'remove the stage files of all models instead')
    .option('--json', 'print what was removed as JSON')
    .addHelpText('after', examples)
    .action(async (reference: string | undefined, flags: RmFlags) => {
      const asked = [reference !== undefined, flags.interrupted === true, flags.stages === true];
      if (asked.filter(Boolean).length !== 1) {
        command.error('error: name a model, or give --interrupted or --stages', { exitCode: exitCodes.usage });
      }
      const { directory, controlPath, logLevel } = await findData(command);
      const logger = createLogger(context.stderr, logLevel);
      // A missing directory holds nothing, and a look makes none.
      const store = (await isAnything(directory)) ? await openStore(directory, { logger }) : undefined;
      if (flags.stages === true) {
        const status = await askStatus(controlPath);
        if (status !== undefined) assertNoStage(status);
        const { freedBytes } = (await store?.removeStageFiles()) ?? { freedBytes: 0 };
        if (flags.json === true) return printJson(context.stdout, { freedBytes });
        return printLine(context.stdout, `${formatBytes(freedBytes)} of stage files are free again`);
      }
      if (reference === undefined) {
        const removal = await store?.removeInterruptedPulls({ signal: context.signal });
        const { freedBytes } = removal ?? { freedBytes: 0 };
        if (flags.json === true) return printJson(context.stdout, { freedBytes });
        return printLine(context.stdout, `${formatBytes(freedBytes)} of interrupted pulls are free again`);
      }
      const held = await store?.find(reference);
      if (store === undefined || held === undefined) throw notHere(reference);
      const status = await askStatus(controlPath);
      if (status !== undefined) assertUnused(held, status);
      const { freedBytes, isShared } = await store.remove(held.model, { signal: context.signal });
      await announceModels(controlPath);
      if (flags.json === true) return printJson(context.stdout, { ...held, freedBytes, isShared });
      const shared = isShared ? '; another program holds the file, too' : '';
      return printLine(context.stdout, `${held.name} is removed: ${formatBytes(freedBytes)} are free again${shared}`);
    });
}

function notHere(reference: string): SkeinError {
  const fix = '`skein models` lists those that are';
  return new SkeinError('model-not-found', `no model is called ${reference.slice(0, 200)} here; ${fix}`);
}

/**
 * Checks that this machine has no stage: a daemon looks its stage files up by their names while it loads one.
 *
 * @throws SkeinError `already-running` with the command that helps
 */
export function assertNoStage({ peer, cards }: Pick<DaemonStatus, 'peer' | 'cards'>): void {
  const [stage] = cards.find((card) => card.peer === peer)?.stages ?? [];
  if (stage === undefined) return;
  const fix = `run \`skein undeploy ${stage.deployment}\` where it was deployed, or \`skein drain\` with this machine, then this again`;
  throw new SkeinError('already-running', `this machine computes with ${stage.name}; ${fix}`);
}

/**
 * Checks that nobody needs a model that this machine holds.
 *
 * @throws SkeinError `already-running` with the command that helps
 */
export function assertUnused({ model, name }: HeldModel, { peer, cards }: Pick<DaemonStatus, 'peer' | 'cards'>): void {
  const using = deploymentsOf(cards).filter((deployment) => deployment.model === model);
  const here = using.find(({ stages }) => stages.some((stage) => stage.peer === peer));
  if (here !== undefined) {
    const fix = `run \`skein undeploy ${here.id}\` where it was deployed, then this again`;
    throw new SkeinError('already-running', `this machine computes with ${name}; ${fix}`);
  }
  const [deployment] = using;
  const isHeldElsewhere = cards.some((card) => card.peer !== peer && card.models.some((each) => each.model === model));
  if (deployment === undefined || isHeldElsewhere) return;
  const fix = `run \`skein undeploy ${deployment.id}\` there, or \`skein pull\` on another machine, then this again`;
  throw new SkeinError('already-running', `${name} is deployed, and no other machine holds it whole; ${fix}`);
}
