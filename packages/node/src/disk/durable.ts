import { randomUUID } from 'node:crypto';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { onDisk } from './on-disk.ts';

/** Moves a file whose content is on the disk already, so that it survives a power cut under its new name. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await onDisk(dirname(to), async () => {
    await rename(from, to);
    await syncDirectory(dirname(to));
  });
}

/** Replaces a small file as a whole: readers see the old content or the new one, and so they do after a power cut. */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    await onDisk(dirname(path), () => writeFile(temporary, content, { flush: true }));
    await renameDurably(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open directories; its rename is durable enough without.
  if (process.platform === 'win32') return;
  await using handle = await open(directory, 'r');
  await handle.sync();
}
