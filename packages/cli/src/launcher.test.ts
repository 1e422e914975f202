import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, cp, mkdir, mkdtempDisposable, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { findInstalledNode, isNewEnough, missingNodeMessage } from '../bin/node-24.js';
import packageJson from '../package.json' with { type: 'json' };

const isWindows = process.platform === 'win32';
const bin = join(import.meta.dirname, '..', 'bin');

/** Runs a script in which the launcher takes this Node for an old one. */
async function launchOnOldNode(options: {
  readonly directory: string;
  readonly source: string;
  readonly signal?: NodeJS.Signals;
  /** Version of glibc that the launcher is told; null for none. Default: the system's. */
  readonly glibc?: string | null;
  readonly args?: readonly string[];
}) {
  const { directory, source, signal, glibc, args = ['a', '--b'] } = options;
  await mkdir(join(directory, 'bin'), { recursive: true });
  for (const file of ['node-24.js', 'requirements.js']) await copyFile(join(bin, file), join(directory, 'bin', file));
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await writeFile(join(directory, 'script.ts'), source);
  const old = `
    Object.defineProperty(process, 'version', { value: 'v20.20.2' });
    const glibc = ${JSON.stringify(glibc)};
    if (glibc !== undefined) process.report.getReport = () => ({ header: glibc === null ? {} : { glibcVersionRuntime: glibc } });
    const { runOnNode24 } = await import(${JSON.stringify(join(directory, 'bin', 'node-24.js'))});
    runOnNode24({ script: ${JSON.stringify(join(directory, 'script.ts'))}, args: ${JSON.stringify(args)}, searchFrom: ${JSON.stringify(directory)} });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', old]);
  const stderr = text(child.stderr);
  if (signal !== undefined) child.stdout.once('data', () => child.kill(signal));
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return { code, stdout, stderr: await stderr };
}

/** Installs this very Node as the optional dependency. */
async function installNode(directory: string): Promise<void> {
  const platform = isWindows ? 'win' : process.platform;
  const target = join(directory, 'node_modules', `node-${platform}-${process.arch}`, 'bin');
  await mkdir(target, { recursive: true });
  if (isWindows) await cp(process.execPath, join(target, 'node.exe'));
  else await symlink(process.execPath, join(target, 'node'));
}

async function temporaryDirectory() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-launcher-'));
}

test('knows which Node is new enough', () => {
  expect(['v14.21.3', 'v20.20.2', 'v23.9.0', 'v24.0.0', 'v26.1.0'].map(isNewEnough)).toEqual([
    false,
    false,
    false,
    true,
    true,
  ]);
});

test('says what to do where there is no Node 24', async () => {
  await using directory = await temporaryDirectory();
  const { code, stdout, stderr } = await launchOnOldNode({ directory: directory.path, source: '' });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toBe(missingNodeMessage('v20.20.2', process.platform, process.arch));
  expect(stderr).toContain('Skein needs Node 24 or newer; this is Node 20.20.2');
  expect(stderr).toContain('npm ci');
});

test.runIf(process.platform === 'linux').each([
  { glibc: '2.31', what: /^warning: no model can run on this machine: .*glibc 2\.34 .* has 2\.31; use a system with/ },
  { glibc: null, what: /^warning: no model can run on this machine: .*another C library/ },
])('warns of what the system lacks, and starts all the same: glibc $glibc', async ({ glibc, what }) => {
  await using directory = await temporaryDirectory();
  await installNode(directory.path);
  const source = `console.log('up');`;
  const { stdout, stderr } = await launchOnOldNode({ directory: directory.path, source, glibc });
  expect(stdout).toBe('up\n');
  expect(stderr).toMatch(what);
});

test.runIf(process.platform === 'linux')('leaves that to the doctor, where the doctor runs', async () => {
  await using directory = await temporaryDirectory();
  const old = {
    directory: directory.path,
    source: `console.log('up');`,
    glibc: '2.31',
    args: ['--data', 'x', 'doctor'],
  };
  expect((await launchOnOldNode(old)).stderr).toMatch(/^warning: no model can run on this machine/);
  await installNode(directory.path);
  expect(await launchOnOldNode(old)).toEqual({ code: 0, stdout: 'up\n', stderr: '' });
});

test('says what to do where an old Node is given what the launcher starts', async () => {
  const old = 'Object.defineProperty(process, "version", { value: "v20.20.2" })';
  const args = ['--import', `data:text/javascript,${encodeURIComponent(old)}`, join(bin, 'start.js'), '--version'];
  await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: missingNodeMessage('v20.20.2', process.platform, process.arch),
  });
});

test('runs on the Node that npm installed, with its output and exit code', async () => {
  await using directory = await temporaryDirectory();
  await installNode(directory.path);
  const source = `const rest: string[] = process.argv.slice(2); console.log(rest.join(), process.version); process.exitCode = 7;`;
  const { code, stdout } = await launchOnOldNode({ directory: directory.path, source });
  expect([code, stdout]).toEqual([7, `a,--b ${process.version}\n`]);
});

test.skipIf(isWindows).each(['SIGINT', 'SIGTERM'] as const)('passes %s on', async (signal) => {
  await using directory = await temporaryDirectory();
  await installNode(directory.path);
  const source = `
    const alive = setInterval(() => undefined, 1000);
    process.on('${signal}', () => { clearInterval(alive); process.exitCode = 9; });
    console.log('up');`;
  expect((await launchOnOldNode({ directory: directory.path, source, signal })).code).toBe(9);
});

test.skipIf(isWindows)('ends as shells report it when a signal ended the child', async () => {
  await using directory = await temporaryDirectory();
  await installNode(directory.path);
  const source = `setInterval(() => undefined, 1000); console.log('up');`;
  expect((await launchOnOldNode({ directory: directory.path, source, signal: 'SIGTERM' })).code).toBe(143);
});

test('starts the command without a word of its own', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(bin, 'skein.js'), '--version']);
  expect([stdout, stderr]).toEqual([`${packageJson.version}\n`, '']);
});

test('looks in every node_modules upward', async () => {
  await using directory = await temporaryDirectory();
  await installNode(directory.path);
  const deep = join(directory.path, 'packages', 'cli', 'bin');
  expect(findInstalledNode(deep, process.platform, process.arch)).toContain(join(directory.path, 'node_modules'));
  expect(findInstalledNode(deep, 'plan9', 'mips')).toBeUndefined();
});
