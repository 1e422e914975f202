import type { Deployment } from '@skein/client';
import type { Command } from 'commander';

import { printJson, printLine, printWarning, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { addDeploymentOptions, deploymentOptions } from '../program/deployment-options.ts';
import { addScalingOptions, scalingOptions } from '../program/scaling-options.ts';
import { deployModel, describeDeployment } from './deploy-model.ts';
import { localCoordinator } from './local-daemon.ts';

interface DeployFlags {
  readonly wait?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein deploy smollm2-135m-instruct               wherever it runs best
  $ skein deploy smollm2-135m-instruct --stages 2    split over two machines
  $ skein deploy my-model --ctx 8192 --parallel 8 --cache-type q8_0
  $ skein deploy my-model --replicas 1..3            as many as its requests need
  $ skein deploy my-model --idle 30m                 unloaded when idle, and loaded for the next request`;

/** Adds the command `skein deploy` to the program. */
export function registerDeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('deploy')
    .description('Put a model that a member holds on one machine, or on several, and serve it.')
    .argument('<model>', 'its name, an alias or its SHA-256');
  addScalingOptions(addDeploymentOptions(command))
    .option('--wait', 'where machines or memory are missing, keep it to be deployed when they come')
    .option('--json', 'print the deployment as JSON')
    .addHelpText('after', examples)
    .action(async (model: string, flags: DeployFlags) => await deploy(command, { ...flags, model }, context));
}

async function deploy(
  command: Command,
  flags: DeployFlags & { readonly model: string },
  context: CommandContext,
): Promise<void> {
  const scaling = scalingOptions(command);
  const data = await findData(command);
  const { coordinator, cards } = await localCoordinator(data);
  const deployment = await deployModel(
    {
      coordinator,
      request: { model: flags.model, ...deploymentOptions(command) },
      scaling,
      wait: flags.wait === true,
      onWait: ({ message }) =>
        printWarning(context.stderr, `${message}; it is deployed when it can be; Ctrl-C only stops waiting`),
    },
    context,
  );
  if (flags.json === true) return printJson(context.stdout, factsOf(deployment));
  printLine(context.stdout, describeDeployment(deployment, cards));
}

/** Returns a ready deployment for programs: without the facts that matter on the way there. */
function factsOf(deployment: Deployment): object {
  const stages = deployment.stages.map((stage) => ({ ...stage, plannedBytes: undefined }));
  return { ...deployment, startedAt: undefined, stages };
}
