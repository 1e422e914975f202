import type { DeploymentRequest } from '@skein/client';
import { activationsSchema, cacheTypeSchema, type Activations, type CacheType } from '@skein/protocol';
import { Option, type Command } from 'commander';

import { wholeNumber, wholeNumbers } from './arguments.ts';

/** The options of a deployment, as flags. */
export interface DeploymentFlags {
  readonly stages?: number | undefined;
  readonly layers?: readonly number[];
  readonly ctx?: number;
  readonly parallel?: number;
  readonly cacheType?: CacheType;
  readonly activations?: Activations;
}

/** Adds the options that `deploy` and `up --model` have in common to a command, which it returns. */
export function addDeploymentOptions(command: Command): Command {
  return command
    .option('--stages <count>', 'over how many machines (default: as few as it fits on)', wholeNumber(1, 64))
    .option('--layers <counts>', 'layers of each machine, like 17,13 (default: so that all are as fast)', wholeNumbers)
    .option('--ctx <tokens>', 'tokens of context, shared by all answers (default: 4096)', wholeNumber(1, 16_777_216))
    .option('--parallel <n>', 'answers at once (default: 4)', wholeNumber(1, 64))
    .addOption(
      new Option(
        '--cache-type <type>',
        'storage of keys and values; q8_0 takes half, and rounds (default: f16)',
      ).choices(cacheTypeSchema.options),
    )
    .addOption(
      new Option(
        '--activations <type>',
        'what crosses between machines; f16 is half, and rounds (default: f32)',
      ).choices(activationsSchema.options),
    );
}

/** Turns the flags into a request to a coordinator. */
export function deploymentWish(flags: DeploymentFlags): Omit<DeploymentRequest, 'model'> {
  const { stages, layers, ctx, parallel, cacheType, activations } = flags;
  return {
    ...(stages !== undefined && { stages }),
    ...(layers !== undefined && { layers }),
    ...(ctx !== undefined && { contextTokens: ctx }),
    ...(parallel !== undefined && { sequences: parallel }),
    ...(cacheType !== undefined && { cacheType }),
    ...(activations !== undefined && { activations }),
  };
}

/** Returns the first given flag, as it is typed; undefined when there is none. */
export function givenDeploymentFlag(flags: DeploymentFlags): string | undefined {
  const names = {
    stages: '--stages',
    layers: '--layers',
    ctx: '--ctx',
    parallel: '--parallel',
    cacheType: '--cache-type',
    activations: '--activations',
  } as const satisfies Record<keyof DeploymentFlags, string>;
  return Object.entries(names).find(([key]) => flags[key as keyof typeof names] !== undefined)?.[1];
}
