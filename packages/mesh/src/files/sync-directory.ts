import { open } from 'node:fs/promises';

import { hasCode } from '@skein/protocol';

/** Codes of file systems on which directories can't be synced, such as SMB, 9p and some in user space. */
const noSyncCodes: readonly string[] = ['EINVAL', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/**
 * Makes a new directory entry durable, as far as the file system can: on some a power cut may take back a name, and
 * nobody can help that. Windows can't open directories, and doesn't need it. Throws the system's error.
 */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using handle = await open(directory, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!noSyncCodes.some((code) => hasCode(error, code))) throw error;
  }
}
