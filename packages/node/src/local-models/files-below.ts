import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** Most entries of a directory tree that are looked at. */
const maxEntries = 50_000;
/** Levels below the directory that are looked at. */
const maxDepth = 8;

/** A GGUF in another program's directory. */
export interface FoundFile {
  /** Path, from the directory on, with slashes. */
  readonly name: string;
  readonly path: string;
  /** Path without symbolic links. */
  readonly target: string;
  readonly bytes: number;
  /** Last modification, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/**
 * Lists the paths of all files below a directory, with slashes, in order. Directories that are missing or can't be read
 * are left out, and links to directories are not followed.
 */
export async function filesBelow(directory: string): Promise<readonly string[]> {
  const files: string[] = [];
  let level = [''];
  let entries = 0;
  for (let depth = 0; depth < maxDepth && level.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of level) {
      for (const entry of await readdir(join(directory, folder), { withFileTypes: true }).catch(() => [])) {
        entries += 1;
        if (entries > maxEntries) return files.toSorted();
        const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory()) next.push(name);
        else files.push(name);
      }
    }
    level = next;
  }
  return files.toSorted();
}

/**
 * Describes a file below a directory; undefined unless it is a GGUF that can be read. A link that leads out of the
 * directory counts as none: nobody shall be offered a file under a name that another one chose for it.
 */
export async function describeGguf(directory: string, name: string): Promise<FoundFile | undefined> {
  const path = join(directory, name);
  try {
    const target = await realpath(path);
    if (!target.startsWith(`${await realpath(directory)}${sep}`)) return undefined;
    const { size, mtimeMs, isFile } = await stat(target).then((status) => ({
      size: status.size,
      mtimeMs: status.mtimeMs,
      isFile: status.isFile(),
    }));
    if (!isFile || !(await isGguf(target))) return undefined;
    return { name, path, target, bytes: size, modifiedMs: mtimeMs };
  } catch {
    return undefined;
  }
}

async function isGguf(path: string): Promise<boolean> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return bytesRead === 4 && buffer.toString('latin1') === 'GGUF';
}
