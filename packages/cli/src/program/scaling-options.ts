import {
  asSkeinError,
  defaultIdleMs,
  formatDuration,
  maxReplicas,
  maxStandbys,
  scalingOf,
  type ReplicaRange,
  type ScalingRequest,
} from '@skein/protocol';
import { InvalidArgumentError, Option, type Command } from 'commander';

import { exitCodes } from '../process/exit-codes.ts';
import { duration } from './arguments.ts';

const flags = { replicas: '--replicas', idle: '--idle', pin: '--pin', standby: '--standby' } as const;

/** The flags of {@link addScalingOptions}, as they are typed. */
export const scalingFlagNames: readonly string[] = Object.values(flags);

/** Adds the flags of `deploy` and `up --model` that say how replicas come and go. */
export function addScalingOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        `${flags.replicas} <range>`,
        'how many, like 2, or from least to most by demand, like 1..3; with 0..1 it is loaded for requests, and unloaded after --idle (default: one more, for good)',
      ).argParser(checked(replicaRange)),
    )
    .addOption(
      new Option(
        `${flags.idle} <duration>`,
        `take replicas down that were not needed for so long, like 30m, as far as --replicas allows; alone it means --replicas 0..1 (default: ${formatDuration(defaultIdleMs)} where there may be fewer)`,
      ).argParser(checked(duration)),
    )
    .option(flags.pin, 'never take it down to make room for another model (default: off)')
    .addOption(
      new Option(
        `${flags.standby} <n>`,
        'keep so many more replicas loaded where memory is spare, on other machines, for answers whose replica is lost (default: 0)',
      ).argParser(checked(standbys)),
    );
}

/** Returns the flags that were given, as a coordinator takes them, and exits where they contradict each other. */
export function scalingOptions(command: Command): ScalingRequest {
  const { replicas, idle, pin, standby } = command.opts<{
    replicas?: string;
    idle?: string;
    pin?: boolean;
    standby?: string;
  }>();
  const request: ScalingRequest = {
    replicas: replicas === undefined ? undefined : replicaRange(replicas),
    idleMs: idle === undefined ? undefined : duration(idle),
    pinned: pin,
    standby: standby === undefined ? undefined : standbys(standby),
  };
  try {
    // Terms that contradict each other are refused before anything is done.
    scalingOf(request);
  } catch (error) {
    command.error(`error: ${asSkeinError(error).message}`, { exitCode: exitCodes.usage });
  }
  return request;
}

/** Returns the first of the flags that was given, as it is typed. */
export function givenScalingFlag(command: Command): string | undefined {
  const given = command.opts<Record<string, unknown>>();
  return Object.entries(flags).find(([name]) => given[name] !== undefined)?.[1];
}

/** Makes a parser that keeps a text as it was typed, once it is known to be right: `up` shows it to be typed again. */
function checked(parse: (text: string) => unknown): (text: string) => string {
  return (text) => {
    parse(text);
    return text;
  };
}

/** Parses a number of standbys. */
function standbys(text: string): number {
  const count = /^\d$/.test(text) ? Number(text) : Infinity;
  if (count <= maxStandbys) return count;
  throw new InvalidArgumentError(`It must be a number from 0 to ${maxStandbys}.`);
}

/** Parses numbers of replicas: `2`, or `1..3`. */
function replicaRange(text: string): ReplicaRange {
  const found = /^(\d{1,3})(?:\.\.(\d{1,3}))?$/.exec(text);
  const min = Number(found?.[1]);
  const max = found?.[2] === undefined ? min : Number(found[2]);
  if (found !== null && min <= max && max >= 1 && max <= maxReplicas) return { min, max };
  throw new InvalidArgumentError(`It must be a number like 2, or a range like 1..3, of ${maxReplicas} at most.`);
}
