import { readFile, writeFile } from 'node:fs/promises';

import { exportAuthority, importAuthority, removeAuthority } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { askStatus } from '../control/control-client.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { openData, type OpenedData } from '../program/data-options.ts';
import { readPassphrase } from '../program/passphrase.ts';

interface FileFlags {
  readonly filePassphrase: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein authority export mesh.backup --file-passphrase words.txt           a backup
  $ skein authority export mesh.move --file-passphrase words.txt --remove    to move it
  $ skein authority import mesh.move --file-passphrase words.txt             where it goes

Whoever has the authority can let anybody in. Run it in one place only: of two, each would undo what the other says.`;

export function registerAuthority(program: Command, context: CommandContext): void {
  const authority = program
    .command('authority')
    .description('Back up, move or restore what says who is a member.')
    .addHelpText('after', examples);

  const exporting = authority
    .command('export')
    .description('Write the authority to a file, encrypted.')
    .argument('<file>', 'a new file')
    .requiredOption('--file-passphrase <path>', 'the first line of this file encrypts it')
    .option('--remove', 'and remove it here: it is moved')
    .option('--json', 'print the path as JSON')
    .action(async (file: string, flags: FileFlags & { readonly remove?: boolean }) => {
      const data = await stopped(exporting);
      const filePassphrase = await readPassphrase(flags.filePassphrase);
      const bytes = await exportAuthority(data.directory, { passphrase: data.passphrase, filePassphrase });
      await writeNew(file, bytes);
      if (flags.remove === true) await removeAuthority(data.directory);
      if (flags.json === true) return printJson(context.stdout, { file });
      return printLine(
        context.stdout,
        `Wrote ${file}.${flags.remove === true ? ' This machine has the authority no longer.' : ''}`,
      );
    });

  const importing = authority
    .command('import')
    .description('Take an exported authority: this machine says who is a member from now on.')
    .argument('<file>', 'what `skein authority export` wrote')
    .requiredOption('--file-passphrase <path>', 'the first line of this file decrypts it')
    .option('--json', 'print the mesh as JSON')
    .action(async (file: string, flags: FileFlags) => {
      const data = await stopped(importing);
      const filePassphrase = await readPassphrase(flags.filePassphrase);
      const bytes = await readExport(file);
      const mesh = await importAuthority(data.directory, bytes, { passphrase: data.passphrase, filePassphrase });
      if (flags.json === true) return printJson(context.stdout, { mesh });
      return printLine(context.stdout, `This machine has the authority of mesh ${mesh}. \`skein up\` makes it heard.`);
    });
}

/** The data directory, in which nothing may run now. */
async function stopped(command: Command): Promise<OpenedData> {
  const data = await openData(command);
  if ((await askStatus(data.controlPath)) === undefined) return data;
  throw new SkeinError('already-running', 'Skein runs here; stop it with `skein stop` first');
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    throw new SkeinError('disk-failed', `can't write ${file}; it must be new, in a directory that can be written to`, {
      cause: error,
    });
  }
}

async function readExport(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new SkeinError('disk-failed', `can't read ${file}; check its path and mode`, { cause: error });
  }
}
