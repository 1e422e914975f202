import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, expect, test, vi } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { libraryDirectory } from './backend.ts';
import { lookForSoftware } from './gpu-software.ts';

const isLinux = process.platform === 'linux';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Makes libraries that load, under other names. */
async function makeLibraries(directory: string, names: readonly string[]): Promise<void> {
  const library = join(await libraryDirectory('cpu'), 'libggml-base.so');
  for (const name of names) await copyFile(library, join(directory, name));
}

test.runIf(isLinux)('finds a driver, and a runtime where all of its libraries are there', async () => {
  await using directory = await temporaryDirectory();
  vi.stubEnv('LD_LIBRARY_PATH', directory.path);
  await makeLibraries(directory.path, ['libcuda.so.1', 'libcudart.so.13', 'libcublas.so.13']);
  expect(await lookForSoftware('cuda', {})).toEqual({ driver: 'libcuda.so.1', runtimes: [] });
  const runtimeDirectory = join(directory.path, 'cuda-12');
  await mkdir(runtimeDirectory);
  await makeLibraries(runtimeDirectory, ['libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12']);
  expect(await lookForSoftware('cuda', { runtimeDirectory })).toMatchObject({ runtimes: ['CUDA 12'] });
});

test.runIf(isLinux)("asks NVIDIA's driver which CUDA it runs", async ({ skip }) => {
  await using directory = await temporaryDirectory();
  const source = join(directory.path, 'driver.c');
  await writeFile(source, 'int cuDriverGetVersion(int *version) { *version = 12080; return 0; }');
  const built = spawnSync('cc', ['-shared', '-o', join(directory.path, 'libcuda.so.1'), source]);
  if (built.status !== 0) return skip('no C compiler to make a driver with');
  vi.stubEnv('LD_LIBRARY_PATH', directory.path);
  expect(await lookForSoftware('cuda', {})).toMatchObject({ driver: 'libcuda.so.1, for CUDA up to 12.8' });
  return undefined;
});

test('looks for nothing where the system brings all', async () => {
  expect(await lookForSoftware('metal', {})).toBeUndefined();
});

test.runIf(isLinux)('finds nothing out where a driver ends the process', async () => {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, 'preload.mjs'), 'process.exit(3)');
  vi.stubEnv('NODE_OPTIONS', `--import ${join(directory.path, 'preload.mjs')}`);
  expect(await lookForSoftware('vulkan', {})).toBeUndefined();
});
