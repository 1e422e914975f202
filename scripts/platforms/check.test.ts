import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { checkPlatforms } from './check.ts';
import { lockFileSchema, missingEntries } from './lock-file.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
let copy: string;
let lockFile: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'skein-platforms-test-'));
  for (const name of await readdir(join(checkout, 'packages'))) {
    await mkdir(join(copy, 'packages', name), { recursive: true });
    await cp(join(checkout, 'packages', name, 'package.json'), join(copy, 'packages', name, 'package.json'));
  }
  for (const file of ['package.json', '.npmrc']) await cp(join(checkout, file), join(copy, file));
  lockFile = await readFile(join(checkout, 'package-lock.json'), 'utf8');
});

afterAll(async () => {
  await rm(copy, { recursive: true });
});

async function checkWithout(...removed: readonly string[]): Promise<readonly string[]> {
  const lock = JSON.parse(lockFile) as { packages: Record<string, unknown> };
  for (const entry of removed) {
    expect(lock.packages).toHaveProperty([entry]);
    delete lock.packages[entry];
  }
  await writeFile(join(copy, 'package-lock.json'), JSON.stringify(lock));
  return checkPlatforms(copy);
}

describe('the check of platforms', () => {
  it('finds nothing wrong with the lock file', async () => {
    expect(await checkWithout()).toEqual([]);
  });

  it('names what a machine would lack without an entry', async () => {
    expect(await checkWithout('node_modules/@node-llama-cpp/mac-arm64-metal')).toEqual([
      'package-lock.json has no entry for an optional dependency of node_modules/node-llama-cpp: @node-llama-cpp/mac-arm64-metal',
      'darwin arm64 does not get @node-llama-cpp/mac-arm64-metal',
      'darwin x64 does not get @node-llama-cpp/mac-arm64-metal',
    ]);
  });
});

describe('missingEntries', () => {
  const lock = (packages: Record<string, object>) => lockFileSchema.parse({ packages });

  it('finds an entry wherever Node would find the package', () => {
    const at = (place: string) =>
      missingEntries(
        lock({
          '': {},
          'node_modules/a/node_modules/b': { optionalDependencies: { '@scope/c': '1.0.0' } },
          [place]: { os: ['linux'] },
        }),
      );
    for (const place of ['', 'node_modules/a/', 'node_modules/a/node_modules/b/']) {
      expect(at(`${place}node_modules/@scope/c`)).toEqual([]);
    }
    const missing = ['node_modules/a/node_modules/b: @scope/c'];
    expect(at('node_modules/@scope/d')).toEqual(missing);
    expect(at('node_modules/e/node_modules/@scope/c')).toEqual(missing);
  });

  it('looks at the packages of the workspace and the checkout, too', () => {
    expect(
      missingEntries(
        lock({
          '': { optionalDependencies: { a: '1.0.0', d: '1.0.0' } },
          'packages/node': { optionalDependencies: { b: '1.0.0', c: '1.0.0' } },
          'node_modules/b': {},
          'node_modules/d': {},
        }),
      ),
    ).toEqual(['package.json: a', 'packages/node: c']);
  });
});
