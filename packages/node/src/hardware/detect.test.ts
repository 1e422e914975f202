import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { getLlama } from 'node-llama-cpp';
import { afterEach, expect, test, vi } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { libraryDirectory } from './backend.ts';
import { detectHardware } from './detect.ts';
import { examineGpus, reportOf } from './examine.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Runs a line at the start of every process of the detection. */
async function preload(directory: string, line: string): Promise<void> {
  const file = join(directory, 'preload.mjs');
  await writeFile(file, line);
  vi.stubEnv('NODE_OPTIONS', `--import ${pathToFileURL(file).href}`);
}

/** Makes the detection of a GPU go wrong in its process, as a broken driver does; that of the CPU works. */
function breakDetection(directory: string, how: string): Promise<void> {
  return preload(directory, `if (process.argv[1]?.endsWith('detect-main.ts') && process.argv[2] !== 'cpu') { ${how} }`);
}

test.each([
  ['kills the process', `process.kill(process.pid, 'SIGKILL')`, /ended by SIGKILL/],
  ['throws', `throw new Error('no such device')`, /no such device/],
  ['ends the process', `process.exit(3)`, /exit code 3/],
  ['says something else', `console.log('driver 1.0')`, /unreadable answer/],
])('with auto, takes the CPU and says why when a driver %s', async (_, how, reason) => {
  await using directory = await temporaryDirectory();
  await breakDetection(directory.path, how);
  const detected = await detectHardware('auto');
  expect(detected).toMatchObject({ backend: 'cpu', gpus: [], fallback: expect.stringMatching(reason) });
  expect(detected.cores).toBeGreaterThan(0);
});

test('with auto, takes the next backend and says why when the driver of the first is broken', async ({ skip }) => {
  await using directory = await temporaryDirectory();
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
  const hasVulkan = await detectHardware('vulkan').catch(() => undefined);
  if (hasVulkan === undefined) return skip('no Vulkan driver: install mesa-vulkan-drivers');
  await preload(directory.path, `if (process.argv[2] === 'cuda') process.exit(1)`);
  const detected = await detectHardware('auto');
  expect(detected).toMatchObject({ backend: 'vulkan', fallback: expect.stringMatching(/^cuda: .*exit code 1/) });
  return undefined;
});

test("with auto, says how to use an NVIDIA GPU whose driver is there without CUDA's runtime", async ({ skip }) => {
  const cuda = await libraryDirectory('cuda').catch(() => undefined);
  if (cuda === undefined || process.platform !== 'linux') return skip('no CUDA build of llama.cpp is installed');
  await using directory = await temporaryDirectory();
  // A library that loads stands for the driver's.
  await copyFile(join(cuda, 'libggml-base.so'), join(directory.path, 'libcuda.so.1'));
  vi.stubEnv('LD_LIBRARY_PATH', directory.path);
  const reason = expect.stringMatching(/^cuda: libcu\w+\.so.*run `skein gpu setup`/) as string;
  expect(await detectHardware('auto')).toMatchObject({ fallback: reason });
  const [report] = await examineGpus();
  expect(report).toMatchObject({ backend: 'cuda', gpus: [], problem: { isAmiss: true } });
  return undefined;
});

test('refuses a named backend whose driver is broken, with the reason', async () => {
  await using directory = await temporaryDirectory();
  await breakDetection(directory.path, `throw new Error('no such device')`);
  await expect(detectHardware('vulkan')).rejects.toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/vulkan.*no such device.*--backend/),
  });
});

test('gives no reason when nothing failed', async () => {
  expect(await detectHardware('cpu')).not.toHaveProperty('fallback');
});

test.each([
  [{ gpus: [0] }, /there is no GPU 0: this machine has none/],
  [{ mainGpu: 1 }, /there is no GPU 1: this machine has none/],
  [{ tensorSplit: [3, 1] }, /--tensor-split needs a GPU/],
])('refuses wishes for GPUs where the CPU computes: %j', async (gpuOptions, reason) => {
  const refused = { code: 'engine-incompatible', message: expect.stringMatching(reason) as string };
  await expect(detectHardware('cpu', { gpuOptions })).rejects.toMatchObject(refused);
});

test("counts the cores as node-llama-cpp does, whose JavaScript isn't loaded for that", async () => {
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false });
  expect((await detectHardware('cpu')).cores).toBe(llama.cpuMathCores);
});

test('ends with its signal, though a driver hangs', async () => {
  await using directory = await temporaryDirectory();
  await breakDetection(directory.path, 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
  const controller = new AbortController();
  const detecting = detectHardware('auto', { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(detecting).rejects.toThrow('enough');
});

test.each([
  [{ searchFailure: 'the detection took longer than 60 s', isLate: true }, /restart this machine.*driver/],
  [{ searchFailure: 'the detection was ended by SIGSEGV', isLate: false }, /update the GPU's driver/],
])('advises what helps against a search that failed', (found, fix) => {
  expect(reportOf('vulkan', found)).toMatchObject({
    gpus: [],
    problem: { reason: found.searchFailure, fix: expect.stringMatching(fix) as string, isAmiss: true },
  });
});
