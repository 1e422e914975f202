import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtempDisposable, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

const loader = join(import.meta.dirname, '..', 'loader');

/**
 * Makes a repository with our loader and one package, whose source prints its exports and whether it needed the
 * stripper.
 */
async function makeRepository() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'skein-loader-'));
  const packages = join(directory.path, 'packages');
  await cp(loader, join(packages, 'node', 'loader'), { recursive: true });
  await mkdir(join(packages, 'some', 'src'), { recursive: true });
  await writeFile(join(directory.path, 'package.json'), '{ "type": "module" }');
  const write = async (name: string, source: string) => await writeFile(join(packages, 'some', 'src', name), source);
  await write(
    'main.ts',
    `import { answer } from './answer.ts';
     const stripper = process.moduleLoadList.filter((name: string) => name.includes('amaro'));
     console.log(JSON.stringify({ answer, isStripperLoaded: stripper.length > 0 }));`,
  );
  await write('answer.ts', 'export const answer: number = 1;');
  return {
    cache: join(directory.path, 'node_modules', '.cache'),
    write,
    async run(): Promise<unknown> {
      const register = join(packages, 'node', 'loader', 'register.js');
      const commandLine = ['--import', register, join(packages, 'some', 'src', 'main.ts')];
      const { stdout } = await promisify(execFile)(process.execPath, commandLine);
      return JSON.parse(stdout);
    },
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

async function keptFiles(cache: string): Promise<string[]> {
  const entries = await readdir(cache, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test('runs TypeScript in a process that never loads the stripper, the first time too', async () => {
  await using repository = await makeRepository();
  expect(await repository.run()).toEqual({ answer: 1, isStripperLoaded: false });
  expect(await repository.run()).toEqual({ answer: 1, isStripperLoaded: false });
});

test('runs a source as it is now', async () => {
  await using repository = await makeRepository();
  await repository.run();
  await repository.write('answer.ts', 'export const answer: number = 2;');
  expect(await repository.run()).toEqual({ answer: 2, isStripperLoaded: false });
});

test('believes nothing that was cut off or changed', async () => {
  await using repository = await makeRepository();
  await repository.run();
  const [first = '', second = ''] = await keptFiles(repository.cache);
  await truncate(first, 10);
  await writeFile(second, (await readFile(second, 'utf8')).replace(/answer/, 'other'));
  expect(await repository.run()).toEqual({ answer: 1, isStripperLoaded: false });
});

test('leaves to Node what it can not keep', async () => {
  await using repository = await makeRepository();
  await mkdir(join(repository.cache, '..'));
  await writeFile(repository.cache, 'a file where the directory would be');
  expect(await repository.run()).toEqual({ answer: 1, isStripperLoaded: true });
});

test('shows the error of a source that does not parse, with its place', async () => {
  await using repository = await makeRepository();
  await repository.write('answer.ts', 'export const answer: number = ;');
  await expect(repository.run()).rejects.toThrow(/answer\.ts:1/);
});

test('names lines and columns as they are in the source', async () => {
  await using repository = await makeRepository();
  await repository.write(
    'answer.ts',
    `interface Gone {\n  a: string;\n}\nexport const answer: number = fail();\nfunction fail(): never { throw new Error('here'); }`,
  );
  await expect(repository.run()).rejects.toThrow(/answer\.ts:4:31/);
});
