import { homedir } from 'node:os';
import { win32 } from 'node:path';

import { runPowerShell } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import { closingArguments, othersIn, type Others } from './access-list.ts';

/** The description of a directory in SDDL, and a line with the security identifier of this user: neither is translated. */
const readScript = '(Get-Acl -LiteralPath $env:SKEIN_DIRECTORY).Sddl; whoami.exe /user /fo csv /nh';

/** Longest run of a script, in milliseconds: a scanner of files, or a machine that has just started, takes its time. */
const scriptTimeoutMs = 120_000;

/** Tells whether a directory lies in the profile of this user, which Windows closes to others. */
export function isInProfile(directory: string, profile = homedir()): boolean {
  const way = win32.relative(profile, directory);
  return !win32.isAbsolute(way) && way.split('\\')[0] !== '..';
}

/**
 * Checks that nobody but this user, administrators and the system can read or change a directory of Windows.
 *
 * @throws SkeinError `disk-failed` with the command that helps when others can, or when Windows does not say
 */
export async function assertClosed(directory: string): Promise<void> {
  const { user, others } = await readAccess(directory);
  if (others.names.length === 0) return;
  throw openToOthers(directory, user, others);
}

/** Closes a directory of Windows to others, as far as that is possible: {@link assertClosed} tells whether it was. */
export async function closeDirectory(directory: string): Promise<void> {
  const { user, others } = await readAccess(directory);
  if (others.names.length === 0 || !others.hasList) return;
  // A refusal says less than the check that follows, which names the command.
  await runOn(directory, `& icacls.exe $env:SKEIN_DIRECTORY ${closingArguments(user, others).join(' ')}`).catch(
    () => undefined,
  );
}

/** Makes the error of a directory that others can read, with the fix. */
export function openToOthers(directory: string, user: string, others: Others): SkeinError {
  const command = ['icacls', `"${directory}"`, ...closingArguments(user, others)].join(' ');
  const elsewhere = 'name another directory with --data, best in your profile';
  const fix = others.hasList ? `run: ${command}` : `its drive keeps no access lists; ${elsewhere}`;
  return new SkeinError('disk-failed', `${directory} is open to ${others.names.join(', ')}; ${fix}`);
}

/**
 * Reads what {@link readScript} wrote.
 *
 * @returns undefined when it is something else
 */
export function parseAccess(output: string): { readonly user: string; readonly others: Others } | undefined {
  const [descriptor = '', ...more] = output.trim().split(/\r?\n/);
  const user = /"(S-1-[\d-]+)"\s*$/.exec(more.join('\n'))?.[1];
  if (user === undefined || !/^[OGD]:/.test(descriptor)) return undefined;
  return { user, others: othersIn(descriptor.trim(), user) };
}

/** Runs a script that finds the directory in a variable. Waits long: a start is refused without an answer. */
async function runOn(directory: string, script: string): Promise<string> {
  return await runPowerShell(script, { variables: { SKEIN_DIRECTORY: directory }, timeoutMs: scriptTimeoutMs });
}

async function readAccess(directory: string): Promise<{ readonly user: string; readonly others: Others }> {
  let cause: unknown;
  try {
    const access = parseAccess(await runOn(directory, readScript));
    if (access !== undefined) return access;
  } catch (error) {
    cause = error;
  }
  throw new SkeinError(
    'disk-failed',
    `Windows does not say who can read ${directory}; use a directory in your profile, which nobody else can`,
    { cause },
  );
}
