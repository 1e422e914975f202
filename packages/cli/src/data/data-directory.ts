import { chmod, mkdir, readdir, realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { posix, resolve, win32 } from 'node:path';

import { SkeinError } from '@skein/protocol';

const groupAndOthers = 0o077;

/** The parts of the environment that say where a user's data goes. */
export interface DataEnvironment {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  /** Linux and other Unixes: `XDG_DATA_HOME`. */
  readonly xdgDataHome: string | undefined;
  /** Windows: `LOCALAPPDATA`. */
  readonly localAppData: string | undefined;
}

/** Where Skein keeps identity, mesh secret and models when nobody says otherwise. */
export function defaultDataDirectory({ platform, home, xdgDataHome, localAppData }: DataEnvironment): string {
  if (platform === 'win32') return win32.join(localAppData ?? win32.join(home, 'AppData', 'Local'), 'skein');
  if (platform === 'darwin') return posix.join(home, 'Library', 'Application Support', 'skein');
  // The XDG specification has relative paths ignored.
  if (xdgDataHome?.startsWith('/') === true) return posix.join(xdgDataHome, 'skein');
  return posix.join(home, '.local', 'share', 'skein');
}

/** {@link defaultDataDirectory} for this process. */
export function ownDataDirectory(environment: NodeJS.ProcessEnv): string {
  return defaultDataDirectory({
    platform: process.platform,
    home: homedir(),
    xdgDataHome: environment['XDG_DATA_HOME'],
    localAppData: environment['LOCALAPPDATA'],
  });
}

/**
 * Makes the directory usable: there, and closed to other users. One that is missing or empty gets mode 0700; one that
 * holds something is somebody's choice and is left as it is. Returns its canonical path, so that every way to name it leads
 * to the same daemon. Throws `disk-failed` when it can't be made, or when others can enter it.
 */
export async function openDataDirectory(path: string): Promise<string> {
  const directory = resolve(path);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await closeToOthers(directory);
    return await realpath(directory);
  } catch (error) {
    if (error instanceof SkeinError) throw error;
    throw new SkeinError('disk-failed', `can't use ${directory}; check its permissions, or name another with --data`, {
      cause: error,
    });
  }
}

async function closeToOthers(directory: string): Promise<void> {
  // Windows has no such bits; there the profile directory's access list protects it.
  if (process.platform === 'win32') return;
  const { mode } = await stat(directory);
  if ((mode & groupAndOthers) === 0) return;
  if ((await readdir(directory)).length === 0) return await chmod(directory, 0o700);
  throw new SkeinError('disk-failed', `${directory} is open to other users; run: chmod 700 ${directory}`);
}
