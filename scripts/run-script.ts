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

/** The options of a script. `--json` and `--help` are among those of every one. */
export type ScriptValues<Name extends string> = Readonly<Record<Name, number>> & { readonly json: boolean };

/** A script that a person runs: `npm run <name> [-- options]`. */
export interface Script<Name extends string> {
  /** The help, which also follows an option that is wrong. */
  readonly usage: string;
  readonly numbers: Readonly<Record<Name, NumberOption>>;
  /** Does it, and returns the exit code. Errors end the script with 1, and are told. */
  readonly run: (values: ScriptValues<Name>, signal: AbortSignal) => Promise<number>;
}

/**
 * Parses the words behind a script's name. Returns undefined when help is asked for.
 *
 * @throws Error that names the option that is wrong
 */
export function parseScript<Name extends string>(
  numbers: Script<Name>['numbers'],
  words: readonly string[],
): ScriptValues<Name> | undefined {
  const names = Object.keys(numbers) as Name[];
  const { values } = parseArgs({
    args: [...words],
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      ...Object.fromEntries(
        names.map((name) => [name, { type: 'string', default: String(numbers[name].default) }] as const),
      ),
    },
  });
  if (values.help) return undefined;
  const told: Readonly<Record<string, unknown>> = values;
  const parsed = names.map((name) => [name, parseNumber(name, String(told[name]), numbers[name])] as const);
  return { ...(Object.fromEntries(parsed) as Record<Name, number>), json: values.json };
}

function parseNumber(name: string, text: string, { least, takesParts = false }: NumberOption): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isKind = takesParts ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (isKind && (least === undefined || value > least || (value === least && !takesParts))) return value;
  if (takesParts) throw new Error(`--${name} takes a number${least === undefined ? '' : ` above ${least}`}`);
  throw new Error(`--${name} takes a whole number${least === undefined ? '' : ` from ${least} on`}`);
}

/** Runs a script as its process: prints help and errors, ends with Ctrl-C, and sets the exit code. */
export async function runScript<Name extends string>({ usage, numbers, run }: Script<Name>): Promise<void> {
  const { stdout, stderr } = process;
  let values: ScriptValues<Name> | undefined;
  try {
    values = parseScript(numbers, process.argv.slice(2));
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
