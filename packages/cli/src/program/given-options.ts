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
  return typedTexts(value).flatMap((text) => [long, shellWord(text)]);
}

/** Returns the texts that an option's value comes from: one for each time that it was typed. */
export function typedTexts(value: unknown): readonly string[] {
  // Lists of texts, and labels, come from an option that is repeated, numbers from one with commas.
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [String(value)];
  return Object.entries(value).map(([key, label]) => `${key}=${String(label)}`);
}
