import {
  formatBytes,
  maxReplicas,
  type AddedMachine,
  type DescribedPlan,
  type PlanAnswer,
  type Planned,
  type PlansTogether,
  type Prediction,
} from '@skein/protocol';
import type { Command } from 'commander';

import { counted, formatLayers, formatTable, printable } from '../output/format.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { addDeploymentOptions, deploymentOptions } from '../program/deployment-options.ts';
import { wholeNumber } from '../program/arguments.ts';
import { addedMachine, machineSyntax } from '../program/machine-argument.ts';
import { resolveId } from '../program/resolve-id.ts';
import { localCoordinator } from './local-daemon.ts';

interface PlanFlags {
  readonly add?: readonly AddedMachine[];
  readonly remove?: readonly string[];
  readonly replicas?: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein plan my-model                                   where it would be put, and how fast it would be
  $ skein plan my-model --stages 2 --parallel 1
  $ skein plan my-model --add "name=new,memory=64G,gpu=RTX 4090:24G,link=1G/0.5ms"
  $ skein plan my-model --label zone=eu --add "name=new,memory=64G,label=zone=eu"
  $ skein plan my-model --remove attic
  $ skein plan my-model --replicas 3                      three beside each other, and all of them together

Nothing is deployed. Speeds are predicted for short contexts, and from what machines and links have measured; what was
never measured is taken from the name of its device, and said so.`;

/** Adds the command `skein plan` to the program. */
export function registerPlan(program: Command, context: CommandContext): void {
  const command = program
    .command('plan')
    .description(
      'Show where a model would be put, how fast it would be, and what one machine more or less would change.',
    )
    .argument('<model>', 'its name, an alias or its SHA-256');
  const collect =
    <Value>(parse: (text: string) => Value) =>
    (text: string, before: readonly Value[] = []) => [...before, parse(text)];
  addDeploymentOptions(command)
    .option('--add <machine>', `plan with a machine that is not there: ${machineSyntax}`, collect(addedMachine))
    .option(
      '--remove <machine>',
      'plan without a machine: its name, its peer id, or the start or end of that',
      collect(String),
    )
    .option(
      '--replicas <count>',
      'plan so many replicas, beside those that serve (default: 1)',
      wholeNumber(1, maxReplicas),
    )
    .option('--json', 'print the plan, its alternatives and the plan of the mesh as it is as JSON')
    .addHelpText('after', examples)
    .action(async (model: string, { add, remove = [], replicas, json }: PlanFlags) => {
      const { coordinator, cards } = await localCoordinator(await findData(command));
      const named = cards.filter(({ roles }) => roles.includes('peer')).map(({ peer, name }) => ({ id: peer, name }));
      const removed = remove.map((text) => resolveId(text, named, { kind: 'machine', list: 'skein status' }));
      const request = {
        model,
        ...deploymentOptions(command),
        add,
        replicas,
        ...(removed.length > 0 && { remove: removed }),
      };
      const answer = await coordinator.plan(request, { signal: context.signal });
      if (json === true) return printJson(context.stdout, answer);
      return printLine(context.stdout, describeAnswer(answer));
    });
}

/** Formats a plan with its alternatives for people. */
export function describeAnswer({ name, contextTokens, alternatives, now, ...found }: PlanAnswer): string {
  const context = contextTokens === undefined || found.together !== undefined ? '' : describeContext(contextTokens);
  return [
    `${printable(name)}${context}:`,
    ...describe(found),
    ...(alternatives.length === 0 ? [] : ['', 'Instead it could be:']),
    ...alternatives.flatMap((other) => [`  ${describeSpeed(other.prediction)}: ${printable(other.explanation)}`]),
    ...(now === undefined ? [] : ['', 'As the mesh is now:', ...describe(now)]),
  ].join('\n');
}

function describe({ plan, further = [], together, problem, smallerContext }: Planned): readonly string[] {
  if (plan === undefined) return [`  ${printable(problem?.message ?? 'there is no plan')}`];
  if (together === undefined) return describePlan(plan);
  const { replicas, asked } = together;
  const each = [plan, ...further].flatMap((replica, index) => [
    `  Replica ${index + 1}${replica.contextTokens === undefined ? '' : describeContext(replica.contextTokens)}:`,
    ...describePlan(replica),
  ]);
  const missing = problem === undefined ? [] : [`  Only ${replicas} of ${asked} fit: ${printable(problem.message)}`];
  const smaller =
    smallerContext === undefined
      ? []
      : [`  With --ctx ${smallerContext.contextTokens}, ${smallerContext.replicas} of ${asked} fit.`];
  return [...each, `  ${describeTogether(together)}`, ...missing, ...smaller];
}

function describeContext(tokens: number): string {
  return `, with ${tokens} tokens of context`;
}

/** Formats what replicas give together: `Together: 2 replicas on 2 machines, 18.2 GiB; 176 tokens/s for 8 streams; …`. */
function describeTogether(together: PlansTogether): string {
  const { replicas, machines, bytes, sequences, saturatedTokensPerSecond, prefillTokensPerSecond } = together;
  return [
    `Together: ${counted(replicas, 'replica', 'replicas')} on ${counted(machines, 'machine', 'machines')}, ${formatBytes(bytes)}`,
    `${rate(saturatedTokensPerSecond)} tokens/s for ${counted(sequences, 'stream', 'streams')}`,
    `prompts at ${rate(prefillTokensPerSecond)} tokens/s`,
  ].join('; ');
}

function describePlan(plan: DescribedPlan): readonly string[] {
  const rows = plan.stages.map(({ on, block, bytes, devices }) => [
    `  ${formatLayers(block)}`,
    printable(on),
    formatBytes(bytes),
    printable(devices.map(({ device, bytes: part }) => `${formatBytes(part)} in ${device}`).join(', ')),
  ]);
  return [`  ${printable(plan.explanation)}`, `  ${describeSpeed(plan.prediction)}`, formatTable(rows)];
}

/** Formats a predicted speed: `42.1 tokens/s alone, 88.0 for 4 streams; …`. */
export function describeSpeed(prediction: Prediction): string {
  const { oneStreamTokensPerSecond, saturatedTokensPerSecond, sequences, prefillTokensPerSecond } = prediction;
  const { ttftMs, promptTokens, objective, isMeasured } = prediction;
  const aim = objective === 'one-stream' ? 'planned for one stream' : 'planned for all together';
  return [
    `${rate(oneStreamTokensPerSecond)} tokens/s for one stream, ${rate(saturatedTokensPerSecond)} for ${counted(sequences, 'stream', 'streams')} (${aim})`,
    `prompts at ${rate(prefillTokensPerSecond)} tokens/s, ${(ttftMs / 1000).toFixed(2)} s to the first token after ${promptTokens}`,
    isMeasured ? 'by measured speeds' : 'by the names of devices: nothing was measured there yet',
  ].join('; ');
}

function rate(tokensPerSecond: number): string {
  return tokensPerSecond >= 100 ? tokensPerSecond.toFixed(0) : tokensPerSecond.toFixed(1);
}
