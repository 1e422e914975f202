import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, win32 } from 'node:path';

import { SkeinError } from '@skein/protocol';

/** Longest path that binds on Linux (108 bytes) and macOS (104), with its final NUL and room for a suffix of ours. */
const maxSocketPathBytes = 96;
const groupAndOthers = 0o077;

export interface SocketPathOptions {
  readonly platform: NodeJS.Platform;
  /** Whether other users can enter the data directory: its socket is elsewhere then. Default no. */
  readonly isOpen?: boolean;
  /** Directory for temporary files. Default: the system's. */
  readonly temporaryDirectory?: string;
}

/**
 * Returns the path at which the daemon of a data directory listens: in the directory itself, or, where that path is too
 * long for a socket or others could open it there, under a hash of it in a directory of this user's in the system's
 * temporary one. On Windows the path of the file with the secret of its named pipe.
 *
 * @throws SkeinError `disk-failed` when that temporary directory belongs to someone else
 */
export async function controlSocketPath(dataDirectory: string, options: SocketPathOptions): Promise<string> {
  if (options.platform === 'win32') return win32.join(dataDirectory, 'control.pipe');
  const near = join(dataDirectory, 'control.sock');
  if (options.isOpen !== true && Buffer.byteLength(near) <= maxSocketPathBytes) return near;
  const hash = createHash('sha256').update(dataDirectory).digest('hex').slice(0, 16);
  const user = process.getuid?.() ?? 0;
  const directory = join(options.temporaryDirectory ?? tmpdir(), `skein-${user}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // Anyone can create that name first, to be who we talk to.
  const stats = await lstat(directory);
  if (!stats.isDirectory() || stats.uid !== user || (stats.mode & groupAndOthers) !== 0) {
    throw new SkeinError(
      'disk-failed',
      `${directory} is not a private directory of yours; remove it, or use a data directory with a shorter path`,
    );
  }
  return join(directory, `${hash}.sock`);
}
