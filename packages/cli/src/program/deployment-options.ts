import { readFileSync, statSync } from 'node:fs';

import {
  check,
  deploymentDefaults,
  deploymentFlags,
  deploymentRequestSchema,
  formatBytes,
  hasCode,
  limits,
  type DeploymentFlag,
  type DeploymentOptions,
} from '@skein/protocol';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { z } from 'zod';

import { exitCodes } from '../process/exit-codes.ts';
import { decimalNumber, label, wholeNumber, wholeNumbers } from './arguments.ts';

const optionsSchema = deploymentRequestSchema.omit({ model: true });
type OptionName = keyof DeploymentOptions;

/** Adds what `deploy` and `up --model` have in common: each option of a deployment that has a flag. */
export function addDeploymentOptions(command: Command): Command {
  for (const { option } of flaggedOptions()) command.addOption(option);
  return command;
}

/** Returns the options that were given, as a coordinator takes them. */
export function deploymentOptions(command: Command): DeploymentOptions {
  const given = flaggedOptions().map(({ name, option }) => [name, command.getOptionValue(option.attributeName())]);
  const checked = check(optionsSchema, Object.fromEntries(given));
  return checked.ok ? checked.data : command.error(`error: ${checked.problem}`, { exitCode: exitCodes.usage });
}

/** Returns the flags of {@link addDeploymentOptions} as they are typed, in the order of the help. */
export function deploymentFlagNames(): readonly string[] {
  return flaggedOptions().flatMap(({ option }) => option.long ?? []);
}

/** Returns the first flag that was given, as it is typed. */
export function givenDeploymentFlag(command: Command): string | undefined {
  const isGiven = (option: Option) => command.getOptionValue(option.attributeName()) !== undefined;
  return flaggedOptions().find(({ option }) => isGiven(option))?.option.long;
}

function flaggedOptions(): readonly { readonly name: OptionName; readonly option: Option }[] {
  return optionsSchema.keyof().options.flatMap((name) => {
    const flag = deploymentFlags[name];
    return flag === undefined ? [] : [{ name, option: optionOf(name, flag) }];
  });
}

function numberParser({ isInt, minValue, maxValue }: z.ZodNumber): (text: string) => number {
  return isInt ? wholeNumber(1, maxValue ?? undefined) : decimalNumber(minValue ?? 0, maxValue ?? Infinity);
}

/** Longest file that an option may name, in bytes: as many characters as a template may have, of UTF-8. */
const maxFileBytes = 3 * limits.maxTemplateCharacters;

/** Reads the file that an option names. */
function textOfFile(path: string): string {
  try {
    const status = statSync(path);
    // A device or a pipe might have no end.
    if (!status.isFile()) throw new InvalidArgumentError('It must be the path of a file.');
    if (status.size > maxFileBytes) {
      throw new InvalidArgumentError(`Its file must have no more than ${formatBytes(maxFileBytes)}.`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error;
    throw new InvalidArgumentError(`It can't be read (${hasCode(error, 'ENOENT') ? 'there is none' : String(error)}).`);
  }
}

function optionOf(name: OptionName, { flag, description, otherwise }: DeploymentFlag): Option {
  const defaults: Partial<Record<OptionName, string | number>> = deploymentDefaults;
  const option = new Option(flag, `${description} (default: ${otherwise ?? String(defaults[name])})`);
  const schema = optionsSchema.shape[name].unwrap();
  if (schema instanceof z.ZodBoolean) return option;
  if (schema instanceof z.ZodEnum) return option.choices(schema.options.map(String));
  if (schema instanceof z.ZodString) return option.argParser(textOfFile);
  if (name === 'labels') return option.argParser(label);
  if (schema instanceof z.ZodNumber) return option.argParser(numberParser(schema));
  return name === 'layers' ? option.argParser(wholeNumbers) : option.argParser((text) => text.split(','));
}
