import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test, vi } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';

afterEach(() => vi.unstubAllEnvs());

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-cli-'));
}

test('lists the commands, the exit codes and the first steps', async () => {
  const { code, stdout, stderr } = await runInProcess(['--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const command of ['up', 'join', 'invite', 'pull', 'deploy', 'undeploy', 'run', 'status', 'stop']) {
    expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
  }
  expect(stdout).toContain('Exit codes:');
});

test.each(['up', 'join', 'invite', 'pull', 'deploy', 'undeploy', 'run', 'status', 'stop'])(
  'gives examples for %s',
  async (command) => {
    const { code, stdout } = await runInProcess([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`$ skein ${command}`);
    expect(stdout).toContain('--data <directory>');
  },
);

test.each([
  [['status', '--frobnicate'], "unknown option '--frobnicate'"],
  [['dance'], "unknown command 'dance'"],
  [['up', '--port', '65536'], 'from 0 to 65535'],
  [['up', '--listen', '0.0.0.0:7330'], '/ip4/192.168.1.20/tcp/7330'],
  [['up', '--backend', 'abacus'], 'auto'],
  [['run', 'hello', '--temperature', 'warm'], 'from 0 to 2'],
  [['run'], "missing required argument 'prompt'"],
  [['pull', 'a.gguf', 'b.gguf'], 'too many arguments'],
])('refuses wrong usage: %j', async (commandLine, reason) => {
  const { code, stdout, stderr } = await runInProcess(commandLine);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(reason);
});

test('takes values from the environment, checked like flags', async () => {
  vi.stubEnv('SKEIN_PORT', 'many');
  const { code, stderr } = await runInProcess(['up']);
  expect(code).toBe(2);
  expect(stderr).toContain('SKEIN_PORT');
});

test('prefers flags to the environment, and the environment to defaults', async () => {
  await using first = await temporaryData();
  await using second = await temporaryData();
  await using third = await temporaryData();
  const places = { data: first.path };
  expect((await runInProcess(['status'], places)).stderr).toContain(first.path);
  vi.stubEnv('SKEIN_DATA', second.path);
  expect((await runInProcess(['status'], places)).stderr).toContain(second.path);
  expect((await runInProcess(['status', '--data', third.path], places)).stderr).toContain(third.path);
});

test.each(['status', 'deploy', 'run', 'invite'])(
  'says in one line what to do when nothing runs: %s',
  async (command) => {
    await using data = await temporaryData();
    const commandLine = command === 'deploy' || command === 'run' ? [command, 'something'] : [command];
    const { code, stdout, stderr } = await runInProcess(commandLine, { data: data.path });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^error: .*skein up.*\n$/);
  },
);

test('stops what does not run', async () => {
  await using data = await temporaryData();
  const { code, stdout } = await runInProcess(['stop', '--json'], { data: data.path });
  expect([code, JSON.parse(stdout)]).toEqual([0, { pid: null }]);
});

test('refuses an invite that is damaged, without repeating it', async () => {
  await using data = await temporaryData();
  const { code, stderr } = await runInProcess(['join', 'skein1-AAAA'], { data: data.path });
  expect(code).toBe(1);
  expect(stderr).toContain('copy the whole line');
  expect(stderr).not.toContain('AAAA');
});
