import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { libraryDirectory } from '../../packages/node/src/hardware/backend.ts';
import { detectHardware } from '../../packages/node/src/hardware/detect.ts';
import { makeWheel } from '../../packages/node/src/sources/test-support/make-wheel.ts';
import { startPackageIndex, type PackageIndex } from '../../packages/node/src/sources/test-support/package-index.ts';
import { temporaryDirectory } from '../../packages/node/src/sources/test-support/temporary-directory.ts';

/**
 * The command as a person runs it, with the pip of this machine, against an index on loopback. For NVIDIA's GPU stands a
 * software one of Vulkan: the library of CUDA is Vulkan's, changed to need `libcudart.so.12`, which is llama.cpp's own base
 * library, in a package of the form of NVIDIA's. Only with what was fetched does it load.
 */
const skein = fileURLToPath(new URL('../../packages/cli/bin/skein.js', import.meta.url));
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let index: PackageIndex;
let environment: NodeJS.ProcessEnv;
let missing: string | undefined;

beforeAll(async () => {
  directory = await temporaryDirectory();
  const wheels = join(directory.path, 'wheels');
  await mkdir(wheels);
  index = await startPackageIndex(wheels);
  missing = await missingHere();
  if (missing !== undefined) return;
  const base = await readFile(join(await libraryDirectory('cpu'), 'libggml-base.so'), 'latin1');
  const cudart = Buffer.from(base.replaceAll('libggml-base.so', 'libcudart.so.12'), 'latin1');
  const version = '12.9.1';
  await makeWheel(wheels, {
    name: 'nvidia-cuda-runtime-cu12',
    version,
    member: 'nvidia/cuda_runtime/lib/libcudart.so.12',
    content: cudart,
  });
  await makeWheel(wheels, {
    name: 'nvidia-cublas-cu12',
    version,
    member: 'nvidia/cublas/lib/libcublas.so.12',
    content: Buffer.from('cublas'),
    others: { 'nvidia/cublas/lib/libcublasLt.so.12': Buffer.from('cublasLt') },
  });
  environment = {
    ...process.env,
    NODE_OPTIONS: `--import=${pathToFileURL(await cudaPackage()).href}`,
    LD_LIBRARY_PATH: await driver(),
    GGML_VK_VISIBLE_DEVICES: '0',
    PIP_INDEX_URL: index.url,
    PIP_CONFIG_FILE: '/dev/null',
  };
});

afterAll(async () => {
  await index[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function missingHere(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'llama.cpp has no CUDA build here';
  if (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0) return 'there is no pip';
  process.env['GGML_VK_VISIBLE_DEVICES'] = '0';
  const hasVulkan = await detectHardware('vulkan').then(
    () => true,
    () => false,
  );
  return hasVulkan ? undefined : 'no Vulkan driver: install mesa-vulkan-drivers';
}

/** Makes a package of llama.cpp's build for CUDA, and returns a module that puts it in the place of the real one. */
async function cudaPackage(): Promise<string> {
  const binaries = join(directory.path, 'cuda');
  const main = join(binaries, 'linux-x64-cuda');
  await mkdir(main, { recursive: true });
  const plain = await libraryDirectory('cpu');
  for (const name of await readdir(plain)) await symlink(join(plain, name), join(main, name));
  const vulkan = await readFile(join(await libraryDirectory('vulkan'), 'libggml-vulkan.so'), 'latin1');
  const library = vulkan.replace('libggml-base.so', 'libcudart.so.12');
  await writeFile(join(main, 'libggml-cuda.so'), library, 'latin1');
  const entry = join(binaries, 'index.mjs');
  await writeFile(entry, `export const getBinsDir = () => (${JSON.stringify({ binsDir: binaries })});`);
  const replace = join(binaries, 'replace.mjs');
  const { href } = pathToFileURL(entry);
  const lines = [
    `import { registerHooks } from 'node:module';`,
    `const resolve = (name, context, next) =>`,
    `  name === '@node-llama-cpp/linux-x64-cuda' ? { url: '${href}', shortCircuit: true } : next(name === '@node-llama-cpp/linux-x64-cuda-ext' ? 'no-such-package' : name, context);`,
    `registerHooks({ resolve });`,
  ];
  await writeFile(replace, lines.join('\n'));
  return replace;
}

/** Makes a directory with a library that loads, and stands for NVIDIA's driver. */
async function driver(): Promise<string> {
  const path = join(directory.path, 'driver');
  await mkdir(path);
  await copyFile(join(await libraryDirectory('cpu'), 'libggml-base.so'), join(path, 'libcuda.so.1'));
  return path;
}

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command. It leads a group of its own, as at a terminal. */
function start(data: string, ...words: readonly string[]) {
  const argumentList = [skein, 'gpu', ...words, '--data', join(directory.path, data)];
  const child = spawn(process.execPath, argumentList, { env: environment, detached: true });
  const ended = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]): Ending => ({ code: code as number | null, stdout, stderr }),
  );
  return { child, ended };
}

/** Runs the setup to its end, and returns what it prints as JSON. */
async function askSetup(data: string): Promise<unknown> {
  const { code, stdout } = await start(data, 'setup', '--json').ended;
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

function left(data: string): Promise<string[]> {
  return readdir(join(directory.path, data, 'gpu'));
}

test('fetches what is missing, and the GPU computes; a second run has nothing to do', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const before = await start('first').ended;
  expect(before).toMatchObject({ code: 1, stdout: expect.stringMatching(/cuda: no GPU.*libcudart\.so\.12/) as string });
  const setup = await start('first', 'setup').ended;
  expect(setup).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Skein now computes on .*llvmpipe/m) as string,
  });
  expect(setup.stderr).toMatch(/fetching nvidia-cuda-runtime-cu12.*\n.*fetching nvidia-cublas-cu12/);
  expect(await left('first')).toEqual(['cuda-12']);
  expect(await start('first').ended).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/computes by cuda[^]*cuda: 1 GPU/) as string,
  });
  const { length } = index.fetched;
  expect(await start('first', 'setup').ended).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Nothing is missing: 1 GPU computes/) as string,
  });
  expect(await askSetup('first')).toMatchObject({ hasFetched: false });
  expect(index.fetched).toHaveLength(length);
  return undefined;
}, 180_000);

test('Ctrl-C leaves no half of anything, and the next run succeeds', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  index.holdsBack = true;
  const { child, ended } = start('interrupted', 'setup');
  const before = index.fetched.length;
  await expect.poll(() => index.fetched.length, { timeout: 60_000 }).toBeGreaterThan(before);
  process.kill(-(child.pid ?? 0), 'SIGINT');
  expect((await ended).code).toBe(130);
  expect(await left('interrupted')).toEqual([]);
  index.holdsBack = false;
  expect(await askSetup('interrupted')).toEqual({
    hasFetched: true,
    runtimeDirectory: join(directory.path, 'interrupted', 'gpu', 'cuda-12'),
    gpus: [expect.objectContaining({ name: expect.stringContaining('llvmpipe') as string })],
  });
  expect(await left('interrupted')).toEqual(['cuda-12']);
  return undefined;
}, 180_000);

test('fetches nothing where that is not what is missing', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const full = environment;
  environment = { ...full, GGML_VK_VISIBLE_DEVICES: '9' };
  const { length } = index.fetched;
  const { code, stderr } = await start('first', 'setup').ended;
  environment = full;
  expect(code).toBe(1);
  expect(stderr).toMatch(/its driver lists none.*nvidia-smi/);
  expect(index.fetched).toHaveLength(length);
  return undefined;
});
