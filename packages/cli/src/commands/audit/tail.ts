import { followEntries, lastEntries, type ReadEntry } from '@skein/coordinator';
import type { Command } from 'commander';

import { describeEntry } from '../../audit/describe-entry.ts';
import { auditDirectory } from '../../data/audit-directory.ts';
import { writeLine } from '../../output/write-line.ts';
import { wholeNumber } from '../../program/arguments.ts';
import type { CommandContext } from '../../program/context.ts';
import { findData } from '../../program/data-options.ts';

interface TailFlags {
  readonly count: number;
  readonly follow?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein audit tail
  $ skein audit tail -n 0 --follow --json | jq 'select(.type == "refusal")'`;

/** Adds the command `skein audit tail` to that of the audit log. */
export function registerTail(program: Command, context: CommandContext): void {
  const command = program
    .command('tail')
    .description('Show the last entries of the audit log.')
    .option('-n, --count <count>', 'how many', wholeNumber(0, 100_000), 10)
    .option('--follow', 'go on with those to come, until Ctrl-C')
    .option('--json', 'print them as they stand in the log, one line of JSON each')
    .addHelpText('after', examples)
    .action(async ({ count, follow, json }: TailFlags) => {
      const { signal } = context;
      const directory = auditDirectory((await findData(command)).directory);
      const print = async (entry: ReadEntry) =>
        await writeLine(context, json === true ? asJson(entry) : describeEntry(entry));
      const { entries, end } = await lastEntries(directory, { count, signal });
      for (const entry of entries) await print(entry);
      if (follow !== true) return;
      for await (const entry of followEntries(directory, { from: end, signal })) await print(entry);
    });
}

function asJson({ text, entry, file, line, offset }: ReadEntry): string {
  return entry === undefined ? JSON.stringify({ changed: { file, line, offset } }) : text;
}
