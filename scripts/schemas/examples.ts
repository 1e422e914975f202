import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A schema of MaskBench, with values that follow it and values that don't. */
export interface Example {
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly instances: readonly { readonly valid: boolean; readonly data: unknown }[];
}

interface MaskBenchFile {
  readonly schema: Readonly<Record<string, unknown>>;
  readonly tests?: readonly { readonly valid: boolean; readonly data: unknown }[];
}

/**
 * Reads all examples of a directory, or of an archive that `tar` can open, by name.
 *
 * @throws Error when there are none
 */
export async function readExamples(path: string): Promise<Example[]> {
  const examples = (await stat(path)).isDirectory() ? await readDirectory(path) : await readArchive(path);
  if (examples.length > 0) return examples;
  throw new Error(`no .json files in ${path}; name the directory or the archive that holds the schemas`);
}

async function readArchive(path: string): Promise<Example[]> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-schemas-'));
  try {
    await promisify(execFile)('tar', ['-xf', path, '-C', directory]);
    return await readDirectory(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function readDirectory(directory: string): Promise<Example[]> {
  const entries = await readdir(directory, { recursive: true });
  const names = entries.filter((name) => name.endsWith('.json')).sort();
  const examples: Example[] = [];
  for (const name of names) {
    const { schema, tests = [] } = JSON.parse(await readFile(join(directory, name), 'utf8')) as MaskBenchFile;
    examples.push({ name, schema, instances: tests.map(({ valid, data }) => ({ valid, data })) });
  }
  return examples;
}
