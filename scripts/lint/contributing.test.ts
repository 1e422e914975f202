import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Folders that hold what tests need. */
const helpers = new Set(['testing', 'test-support']);

/** Returns the folders that the table names, `a/{b,c}` as two of them. */
async function namedFolders(): Promise<string[]> {
  const lines = (await readFile(join(root, 'CONTRIBUTING.md'), 'utf8')).split('\n');
  const start = lines.findIndex((line) => line.startsWith('| to change'));
  const table = lines.slice(start, lines.indexOf('', start)).join('\n');
  return [...table.matchAll(/`(packages\/[^`]+)`/g)].flatMap(([, path = '']) => {
    const [, before = '', names, after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? [];
    return names === undefined ? [path] : names.split(',').map((name) => `${before}${name}${after}`);
  });
}

/** Returns the folders with sources below another. */
async function sourceFolders(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true, recursive: true });
  const folders = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => entry.parentPath.slice(root.length));
  return [...new Set(folders)].filter((path) => !path.split('/').some((name) => helpers.has(name)));
}

test('the table of CONTRIBUTING.md leads to every folder with a behaviour, and to no other', async () => {
  const named = await namedFolders();
  const packages = await readdir(join(root, 'packages'));
  const folders = (await Promise.all(packages.map((name) => sourceFolders(`packages/${name}/src`)))).flat();
  const isFound = (folder: string): boolean => named.some((path) => folder === path || folder.startsWith(`${path}/`));
  // Files beside named folders compose them.
  const composes = (folder: string): boolean => named.some((path) => path.startsWith(`${folder}/`));
  const hidden = folders.filter((folder) => !isFound(folder) && !composes(folder));
  expect(hidden).toEqual([]);
  expect(named.filter((path) => !folders.some((folder) => `${folder}/`.startsWith(`${path}/`)))).toEqual([]);
});
