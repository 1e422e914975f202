import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { invariant, silentLogger } from '@skein/protocol';
import koffi from 'koffi';
import { afterEach, expect, test, vi } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { detectHardware, lookForGpus } from '../../hardware/detect.ts';
import { temporaryDirectory } from '../../sources/test-support/temporary-directory.ts';
import { createManifest } from '../../stage-file/index.ts';
import { wholeModelLoad } from '../test-support/whole-model-load.ts';
import { EngineProcess } from './engine-process.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/**
 * Makes a directory like node-llama-cpp's for CUDA, on a machine without its runtime: the library of the backend needs
 * one that is not there. The fallback's is that of Vulkan under the name of CUDA's, since llama.cpp loads it by its name.
 *
 * @returns undefined where the Vulkan build is not installed
 */
async function cudaDirectories(directory: string): Promise<{ main: string; fallback: string } | undefined> {
  const vulkan = await libraryDirectory('vulkan').catch(() => undefined);
  if (vulkan === undefined || process.platform !== 'linux') return undefined;
  const [main, fallback] = [join(directory, 'main'), join(directory, 'fallback')];
  await mkdir(main);
  await mkdir(fallback);
  const plain = await libraryDirectory('cpu');
  for (const name of await readdir(plain)) await symlink(join(plain, name), join(main, name));
  const library = await readFile(join(vulkan, 'libggml-vulkan.so'), 'latin1');
  const broken = library.replaceAll('libvulkan.so.1', 'libcudart.so.1');
  expect(broken).not.toBe(library);
  await writeFile(join(main, 'libggml-cuda.so'), broken, 'latin1');
  await copyFile(join(vulkan, 'libggml-vulkan.so'), join(fallback, 'libggml-cuda.so'));
  return { main, fallback };
}

async function startEngine(directory: string, libraries: { main: string; fallback?: string }): Promise<EngineProcess> {
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const { manifest } = await createManifest({ file, name: 'tiny' });
  return await EngineProcess.start({
    logger: silentLogger,
    load: wholeModelLoad(manifest, {
      libraryDirectory: libraries.main,
      ...(libraries.fallback !== undefined && { fallbackDirectory: libraries.fallback }),
      file,
      contextTokens: 256,
      sequences: 1,
      gpu: { backend: 'cuda', options: {} },
    }),
  });
}

test('a library of CUDA that does not load is replaced by the older build, and the placement says so', async ({
  skip,
}) => {
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
  vi.stubEnv('LP_NUM_THREADS', '1');
  const hasVulkan = await detectHardware('vulkan').catch(() => undefined);
  if (hasVulkan === undefined) return skip('no Vulkan driver: install mesa-vulkan-drivers');
  await using directory = await temporaryDirectory();
  const libraries = await cudaDirectories(directory.path);
  if (libraries === undefined) return skip('this platform has no Vulkan build of llama.cpp');
  await using engine = await startEngine(directory.path, libraries);
  expect(engine.placement).toMatchObject({
    backend: 'cuda',
    devices: [expect.anything()],
    cpuLayers: 0,
    fallbacks: [expect.stringMatching(/older build of cuda/) as string],
  });
  return undefined;
}, 240_000);

test('a library that lacks its runtime loads with that of the data directory', async ({ skip }) => {
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
  const hasVulkan = await detectHardware('vulkan').catch(() => undefined);
  if (hasVulkan === undefined) return skip('no Vulkan driver: install mesa-vulkan-drivers');
  await using directory = await temporaryDirectory();
  const libraries = await cudaDirectories(directory.path);
  if (libraries === undefined) return skip('this platform has no Vulkan build of llama.cpp');
  const runtimeDirectory = join(directory.path, 'runtime');
  await mkdir(runtimeDirectory);
  await copyFile(await loadedPath('libvulkan.so.1'), join(runtimeDirectory, 'libcudart.so.1'));
  const without = { directory: libraries.main, fallbackDirectory: undefined };
  expect(await lookForGpus('cuda', without)).toMatchObject({
    gpus: [],
    missing: { failure: expect.stringContaining('libcudart.so.1') as string },
  });
  expect(await lookForGpus('cuda', { ...without, runtimeDirectory })).toMatchObject({ gpus: [expect.anything()] });
  return undefined;
});

/** Returns the path from which this process loads a library. */
async function loadedPath(name: string): Promise<string> {
  koffi.load(name);
  const maps = await readFile('/proc/self/maps', 'utf8');
  const line = invariant(
    maps.split('\n').find((text) => text.includes(name.replace(/\.\d+$/, ''))),
    'what was loaded is mapped',
  );
  return line.slice(line.indexOf('/'));
}

test('without an older build the load fails, with the reason and the fix', async ({ skip }) => {
  await using directory = await temporaryDirectory();
  const libraries = await cudaDirectories(directory.path);
  if (libraries === undefined) return skip('this platform has no Vulkan build of llama.cpp');
  await expect(startEngine(directory.path, { main: libraries.main })).rejects.toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/cuda backend has no GPU here.*libcudart\.so\.1.*`skein gpu setup`/) as string,
  });
  return undefined;
});
