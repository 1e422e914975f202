import { openStore } from '@skein/node';
import type { Command } from 'commander';

import { wholeNumber } from '../program/arguments.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { deployModel, describeDeployment } from './deploy-model.ts';
import { localCoordinator } from './local-daemon.ts';
import { modelId } from './model-id.ts';

interface DeployFlags {
  readonly stages?: number;
  readonly context?: number;
  readonly sequences?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein deploy smollm2-135m-instruct               wherever it runs best
  $ skein deploy smollm2-135m-instruct --stages 2    split over two machines
  $ skein deploy my-model --context 8192 --sequences 8`;

export function registerDeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('deploy')
    .description('Put a model that a member holds on one machine, or on several, and serve it.')
    .argument('<model>', 'its name or SHA-256')
    .option('--stages <count>', 'over how many machines (default: as few as it fits on)', wholeNumber(1, 64))
    .option('--context <tokens>', 'tokens of context, shared by all sequences', wholeNumber(1, 16_777_216))
    .option('--sequences <count>', 'answers at once', wholeNumber(1, 64))
    .option('--json', 'print the deployment as JSON')
    .addHelpText('after', examples)
    .action(async (model: string, flags: DeployFlags) => await deploy(command, { ...flags, model }, context));
}

async function deploy(
  command: Command,
  flags: DeployFlags & { readonly model: string },
  context: CommandContext,
): Promise<void> {
  const data = await findData(command);
  const { url, cards } = await localCoordinator(data);
  const model = await modelId(await openStore(data.directory), flags.model);
  const { stages, context: contextTokens, sequences } = flags;
  const deployment = await deployModel({ url, request: { model, stages, contextTokens, sequences } }, context);
  if (flags.json === true) return printJson(context.stdout, deployment);
  printLine(context.stdout, describeDeployment(deployment, cards));
}
