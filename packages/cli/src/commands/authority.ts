import { readFile, writeFile } from 'node:fs/promises';

import {
  exportAuthority,
  importAuthority,
  loadAuthority,
  ofAnotherMesh,
  removeFile,
  removeAuthority,
} from '@skein/mesh';
import { asSkeinError, hasCode, SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { askStatus } from '../control/control-client.ts';
import { assertPassphrase } from '../data/own-identity.ts';
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

Skein must not run in the data directory meanwhile: \`skein stop\` before, \`skein up\` after.
Whoever has the authority can let anybody in. Run it in one place only: of two, each would undo what the other says.`;

const stoppedFirst = '\nSkein must not run here meanwhile, also for a backup: `skein stop` before, `skein up` after.';

/** Adds the command `skein authority` to the program. */
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
    .addHelpText('after', stoppedFirst)
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
    .addHelpText('after', stoppedFirst)
    .action(async (file: string, flags: FileFlags) => {
      const data = await stopped(importing);
      const filePassphrase = await readPassphrase(flags.filePassphrase);
      const bytes = await readExport(file);
      await assertNoAuthority(data);
      const mesh = await importFile(data, { file, bytes, filePassphrase });
      if (flags.json === true) return printJson(context.stdout, { mesh });
      return printLine(context.stdout, `This machine has the authority of mesh ${mesh}. \`skein up\` makes it heard.`);
    });
}

/** Opens the data directory, and checks that no daemon runs in it. */
async function stopped(command: Command): Promise<OpenedData> {
  const data = await openData(command);
  if ((await askStatus(data.controlPath)) !== undefined) {
    throw new SkeinError('already-running', 'Skein runs here; stop it with `skein stop` first');
  }
  await assertPassphrase(data.directory, data);
  return data;
}

async function assertNoAuthority({ directory, passphrase }: OpenedData): Promise<void> {
  if ((await loadAuthority(directory, { passphrase })) === undefined) return;
  throw new SkeinError(
    'invalid-request',
    `${directory} holds the authority of a mesh already; move that one away first with \`skein authority export <file> --file-passphrase <path> --remove\`, or name another directory with --data`,
  );
}

async function importFile(
  { directory, passphrase }: OpenedData,
  exported: { readonly file: string; readonly bytes: Uint8Array; readonly filePassphrase: string },
): Promise<string> {
  const { file, bytes, filePassphrase } = exported;
  try {
    return await importAuthority(directory, bytes, { passphrase, filePassphrase });
  } catch (error) {
    // Of a directory with another mesh it is said already what helps.
    const { message } = asSkeinError(error, 'invalid-request');
    if (!hasCode(error, 'invalid-request') || message === ofAnotherMesh(directory).message) throw error;
    throw new SkeinError(
      'invalid-request',
      `can't import ${file} (${message}); name what \`skein authority export\` wrote, and with --file-passphrase what it was encrypted with`,
      { cause: error },
    );
  }
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    // Half a backup is none, and would be in the way of the next try. One that was there before is somebody's.
    if (!hasCode(error, 'EEXIST')) await removeFile(file).catch(() => undefined);
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
