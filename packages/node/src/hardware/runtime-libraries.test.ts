import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import { describe, expect, it, test } from 'vitest';

import { makeWheel } from '../sources/test-support/make-wheel.ts';
import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { findRuntime, installRuntime, runtimeDirectoryIn, withLibraries } from './runtime-libraries.ts';

const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
const isLinux = process.platform === 'linux' && process.arch === 'x64';
const { signal } = new AbortController();

/** Makes packages like NVIDIA's where pip is told to look, and nowhere else. */
async function packagesIn(directory: string, { hasCublasLt }: { hasCublasLt: boolean }) {
  const wheels = join(directory, 'wheels');
  await mkdir(wheels);
  const version = '12.9.1';
  await makeWheel(wheels, {
    name: 'nvidia-cuda-runtime-cu12',
    version,
    member: 'nvidia/cuda_runtime/lib/libcudart.so.12',
    content: Buffer.from('cudart'),
  });
  await makeWheel(wheels, {
    name: 'nvidia-cublas-cu12',
    version,
    member: 'nvidia/cublas/lib/libcublas.so.12',
    content: Buffer.from('cublas'),
    others: hasCublasLt ? { 'nvidia/cublas/lib/libcublasLt.so.12': Buffer.from('cublasLt') } : {},
  });
  return { environment: { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: wheels } };
}

describe.skipIf(!hasPip || !isLinux)('the runtime libraries', () => {
  it('come out of the packages into the data directory', async () => {
    await using directory = await temporaryDirectory();
    const pip = await packagesIn(directory.path, { hasCublasLt: true });
    expect(await findRuntime(directory.path)).toBeUndefined();
    // As a process leaves it that was killed.
    await mkdir(join(directory.path, 'gpu', 'fetching', '0'), { recursive: true });
    const fetched: string[] = [];
    const runtime = await installRuntime(directory.path, {
      signal,
      pip,
      onProgress: (progress) => fetched.push(progress.package),
    });
    expect(await findRuntime(directory.path)).toBe(runtime);
    expect((await readdir(runtime)).sort()).toEqual(['libcublas.so.12', 'libcublasLt.so.12', 'libcudart.so.12']);
    expect(await readFile(join(runtime, 'libcudart.so.12'), 'utf8')).toBe('cudart');
    expect(await readdir(join(directory.path, 'gpu'))).toEqual(['cuda-12']);
    // Again, over those that are there.
    await installRuntime(directory.path, { signal, pip });
    expect(await readdir(runtime)).toHaveLength(3);
  });

  it('are all there, or none', async () => {
    await using directory = await temporaryDirectory();
    const pip = await packagesIn(directory.path, { hasCublasLt: false });
    await expect(installRuntime(directory.path, { signal, pip })).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('libcublasLt.so.12') as string,
    });
    expect(await findRuntime(directory.path)).toBeUndefined();
    expect(await readdir(join(directory.path, 'gpu'))).toEqual([]);
  });

  it('are not fetched where there is no room for them', async () => {
    await using directory = await temporaryDirectory();
    const pip = { environment: { PATH: directory.path } };
    const measureFreeBytes = () => Promise.resolve(1000);
    await expect(installRuntime(directory.path, { signal, pip, measureFreeBytes })).rejects.toMatchObject({
      code: 'disk-failed',
    });
  });
});

test.skipIf(process.platform === 'win32')('a process looks for libraries in the directory first', () => {
  const runtime = runtimeDirectoryIn('/data');
  expect(withLibraries({ A: 'b' }, runtime)).toEqual({ A: 'b', LD_LIBRARY_PATH: runtime });
  expect(withLibraries({ LD_LIBRARY_PATH: '/opt' }, runtime)).toEqual({
    LD_LIBRARY_PATH: `${runtime}${delimiter}/opt`,
  });
  expect(withLibraries({ A: 'b' }, undefined)).toEqual({ A: 'b' });
});
