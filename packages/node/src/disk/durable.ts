import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { removeFile, renameFile, syncDirectory } from '@skein/mesh';

import { onDisk } from './on-disk.ts';

/**
 * Renames a file whose content is on the disk already, so that its new name survives a power cut.
 *
 * @throws SkeinError `disk-failed` when the system refuses
 */
export async function renameDurably(from: string, to: string): Promise<void> {
  await onDisk(dirname(to), async () => {
    await renameFile(from, to);
    await syncDirectory(dirname(to));
  });
}

/**
 * Replaces a small file as a whole: readers see the old content or the new one, also after a power cut.
 *
 * @throws SkeinError `disk-failed` when the system refuses
 */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    await onDisk(dirname(path), () => writeFile(temporary, content, { flush: true }));
    await renameDurably(temporary, path);
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}
