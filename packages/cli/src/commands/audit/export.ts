import { readEntries } from '@skein/coordinator';
import { SkeinError } from '@skein/protocol';
import { Option, type Command } from 'commander';

import { csvHeader, csvRow } from '../../audit/csv.ts';
import { auditDirectory } from '../../data/audit-directory.ts';
import { writeLine } from '../../output/write-line.ts';
import { timeMs } from '../../program/arguments.ts';
import type { CommandContext } from '../../program/context.ts';
import { findData } from '../../program/data-options.ts';

interface ExportFlags {
  readonly format: 'jsonl' | 'csv';
  /** Time before which entries are left out, in milliseconds since 1970. */
  readonly since?: number;
  readonly until?: number;
}

const examples = `
Examples:
  $ skein audit export > audit.jsonl               the log as it is, in one file
  $ skein audit export --format csv --since 2026-11-01 --until 2026-12-01 > november.csv`;

/** Adds the command `skein audit export` to that of the audit log. */
export function registerExport(program: Command, context: CommandContext): void {
  const command = program
    .command('export')
    .description('Print the audit log for other programs.')
    .addOption(new Option('--format <format>', 'how').choices(['jsonl', 'csv']).default('jsonl'))
    .option('--since <time>', 'leave out what was before', timeMs)
    .option('--until <time>', 'leave out what was then or later', timeMs)
    .addHelpText('after', examples)
    .action(async (flags: ExportFlags) => {
      const { format, since = -Infinity, until = Infinity } = flags;
      const directory = auditDirectory((await findData(command)).directory);
      if (format === 'csv') await writeLine(context, csvHeader);
      for await (const { text, entry, file, line } of readEntries(directory, context)) {
        if (entry === undefined) {
          const message = `${file}, line ${line} was changed; the export ends before it. See \`skein audit verify\``;
          throw new SkeinError('hash-mismatch', message);
        }
        const entryMs = Date.parse(entry.time);
        if (entryMs < since || entryMs >= until) continue;
        await writeLine(context, format === 'csv' ? csvRow(entry) : text);
      }
    });
}
