import type { Command, Option } from 'commander';

import { shellWord } from '../output/format.ts';

/**
 * Returns the options as they were typed, to be typed again: those of the command, then those of `skein` itself. Leaves
 * out values from the environment, which still come from there.
 */
export function givenOptions(command: Command, { except }: { readonly except: readonly string[] }): readonly string[] {
  const values = command.optsWithGlobals<Readonly<Record<string, unknown>>>();
  return [...command.options, ...(command.parent?.options ?? [])]
    .filter(({ long, hidden }) => !hidden && !except.includes(long ?? ''))
    .filter((option) => command.getOptionValueSourceWithGlobals(option.attributeName()) === 'cli')
    .flatMap((option) => typed(option, values[option.attributeName()]));
}

/** Returns an option with its value as they are typed. */
export function typed({ long = '', negate }: Option, value: unknown): readonly string[] {
  // Of an option and its opposite only one was given.
  if (typeof value === 'boolean') return value === negate ? [] : [long];
  // Lists of texts come from an option that is repeated, numbers from one with commas.
  const isRepeated = Array.isArray(value) && value.every((item) => typeof item === 'string');
  const texts = isRepeated ? value : [String(value)];
  return texts.flatMap((text) => [long, shellWord(text)]);
}
