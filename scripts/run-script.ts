import { parseArgs } from 'node:util';

import { Interruption } from '../packages/cli/src/process/interruption.ts';

/** An option of a script that takes a number. */
export interface NumberOption {
  readonly default: number;
  /** Least number that it takes. Default: any. */
  readonly least?: number;
  /** Whether it takes parts of a whole, too; then not the least number itself. Default: no. */
  readonly takesParts?: boolean;
}

/** An option of a script that takes words of its own. */
export interface TextOption {
  readonly default: string;
  /** Returns what a text means. Throws an error that names the option where it means nothing. */
  readonly parse: (text: string) => unknown;
}

type Texts = Readonly<Record<string, TextOption>> | undefined;
type TextValues<T extends Texts> = T extends undefined
  ? unknown
  : { [Name in keyof T]: T[Name] extends TextOption ? ReturnType<T[Name]['parse']> : never };

/** The options that a script takes. `--json` and `--help` are among those of every one. */
export interface ScriptOptions<Name extends string, T extends Texts, Flag extends string> {
  readonly numbers?: Readonly<Record<Name, NumberOption>>;
  readonly texts?: T;
  /** Options without a value. */
  readonly flags?: readonly Flag[];
}

/** The values of a script's options. */
export type ScriptValues<Name extends string, T extends Texts, Flag extends string> = Readonly<
  Record<Name, number> & Record<Flag | 'json', boolean>
> &
  Readonly<TextValues<T>>;

/** A script that a person runs: `npm run <name> [-- options]`. */
export interface Script<Name extends string, T extends Texts, Flag extends string> extends ScriptOptions<
  Name,
  T,
  Flag
> {
  /** The help, which also follows an option that is wrong. */
  readonly usage: string;
  /** Does it, and returns the exit code. Errors end the script with 1, and are told. */
  readonly run: (values: ScriptValues<Name, T, Flag>, signal: AbortSignal) => Promise<number>;
}

/**
 * Parses the words behind a script's name. Returns undefined when help is asked for.
 *
 * @throws Error that names the option that is wrong
 */
export function parseScript<
  const Name extends string = never,
  const T extends Texts = undefined,
  const Flag extends string = never,
>(options: ScriptOptions<Name, T, Flag>, words: readonly string[]): ScriptValues<Name, T, Flag> | undefined {
  const { flags = [] } = options;
  const [numbers, texts] = [
    Object.entries<NumberOption>(options.numbers ?? {}),
    Object.entries<TextOption>(options.texts ?? {}),
  ];
  const valued = [...numbers, ...texts].map(([name, option]) => {
    return [name, { type: 'string', default: String(option.default) }] as const;
  });
  const { values } = parseArgs({
    args: [...words],
    options: {
      ...Object.fromEntries(valued),
      ...Object.fromEntries([...flags, 'json'].map((name) => [name, { type: 'boolean', default: false }] as const)),
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const told: Readonly<Record<string, unknown>> = values;
  if (told['help'] === true) return undefined;
  return {
    ...Object.fromEntries(numbers.map(([name, option]) => [name, parseNumber(name, String(told[name]), option)])),
    ...Object.fromEntries(texts.map(([name, { parse }]) => [name, parse(String(told[name]))])),
    ...Object.fromEntries([...flags, 'json'].map((name) => [name, told[name] === true])),
  } as ScriptValues<Name, T, Flag>;
}

function parseNumber(name: string, text: string, { least, takesParts = false }: NumberOption): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isKind = takesParts ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (isKind && (least === undefined || value > least || (value === least && !takesParts))) return value;
  if (takesParts) throw new Error(`--${name} takes a number${least === undefined ? '' : ` above ${least}`}`);
  throw new Error(`--${name} takes a whole number${least === undefined ? '' : ` from ${least} on`}`);
}

/** Runs a script as its process: prints help and errors, ends with Ctrl-C, and sets the exit code. */
export async function runScript<
  const Name extends string = never,
  const T extends Texts = undefined,
  const Flag extends string = never,
>({ usage, run, ...options }: Script<Name, T, Flag>): Promise<void> {
  const { stdout, stderr } = process;
  let values: ScriptValues<Name, T, Flag> | undefined;
  try {
    values = parseScript(options, process.argv.slice(2));
  } catch (error) {
    stderr.write(`error: ${messageOf(error)}\n${usage}\n`);
    process.exitCode = 2;
    return;
  }
  if (values === undefined) {
    stdout.write(`${usage}\n`);
    return;
  }
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  try {
    process.exitCode = await run(values, interruption.signal);
  } catch (error) {
    process.exitCode = interruption.exitCode ?? 1;
    if (interruption.exitCode === undefined) stderr.write(`error: ${messageOf(error)}\n`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
