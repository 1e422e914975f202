import { once } from 'node:events';
import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, saveMembership } from '@skein/mesh';
import { afterEach, expect, test, vi } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';

afterEach(() => vi.unstubAllEnvs());

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-cli-'));
}

const commands = [
  'up',
  'join',
  'invite',
  'members',
  'revoke',
  'rotate',
  'leave',
  'authority',
  'doctor',
  'pull',
  'models',
  'rm',
  'deploy',
  'undeploy',
  'run',
  'status',
  'audit',
  'stop',
];

test('lists the commands, the exit codes and the first steps', async () => {
  const { code, stdout, stderr } = await runInProcess(['--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const command of commands) {
    expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
  }
  expect(stdout).toContain('Exit codes:');
  // Without --listen no line for the others is printed.
  expect(stdout).toMatch(/First steps:\n  \$ skein up .*--listen .*\n  \$ skein join /);
});

test.each([['--data', 'status'], ['--log-level', 'warn', '--help', '--data', 'up'], ['help']])(
  'lists all of them where no command is named: %j',
  async (...commandLine) => {
    const { stdout, stderr } = await runInProcess(commandLine);
    for (const command of commands) {
      expect(stdout + stderr).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    }
  },
);

test('says the version', async () => {
  expect(await runInProcess(['--version'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  });
});

test.each(commands)('gives examples for %s', async (command) => {
  const { code, stdout } = await runInProcess([command, '--help']);
  expect(code).toBe(0);
  expect(stdout).toContain(`$ skein ${command}`);
  expect(stdout).toContain('--data <directory>');
});

test.each([
  [['status', '--frobnicate'], "unknown option '--frobnicate'"],
  [['dance'], "unknown command 'dance'"],
  [['statsu'], 'Did you mean status?'],
  [['--log-level', 'loud'], 'Allowed choices'],
  [['up', '--port', '65536'], 'from 0 to 65535'],
  [['up', '--listen', '0.0.0.0:7330'], '/ip4/192.168.1.20/tcp/7330'],
  [['up', '--announce', '/dns4/attic.example/tcp/7330'], 'or be own'],
  [['up', '--backend', 'abacus'], 'auto'],
  [['join', '--gpus', '0,0'], 'each GPU once'],
  [['join', '--gpus', 'all'], 'from 0 to 15'],
  [['up', '--split-mode', 'diagonal'], 'layer, row'],
  [['up', '--tensor-split', '0,0'], 'one above 0'],
  [['up', '--main-gpu', '16'], 'from 0 to 15'],
  [['join', '--network', 'satellite'], 'local, lan, wifi'],
  [['run', 'hello', '--temperature', 'warm'], 'from 0 to 2'],
  [['up', '--host', '0.0.0.0'], 'no keys yet'],
  [['up', '--stages', '2'], '--stages needs --model'],
  [['up', '--cache-type', 'q8_0'], '--cache-type needs --model'],
  [['deploy', 'tiny', '--layers', '17;13'], 'whole number'],
  [['deploy', 'tiny', '--cache-type', 'q9_0'], 'f16, q8_0'],
  [['deploy', 'tiny', '--activations', 'bf16'], 'f32, f16'],
  [['deploy', 'tiny', '--context', '512'], "unknown option '--context'"],
  [['run', 'hello', '--repeat-penalty', '0'], 'from 0.1 to 10'],
  [['run', 'hello', '--json-schema', '{'], 'JSON'],
  [['join', 'skein1-AAAA', 'skein1-AAAA'], 'one word'],
  [['invite', 'skein1-AAAA'], 'too many arguments'],
  [['skein1-AAAA'], 'unknown command'],
  [['run'], "missing required argument 'prompt'"],
  [['pull', 'a.gguf', 'b.gguf'], 'too many arguments'],
])('refuses wrong usage: %j', async (commandLine, reason) => {
  const { code, stdout, stderr } = await runInProcess(commandLine);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(reason);
  expect(stderr).not.toContain('AAAA');
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

test.each([
  [['status', '--json'], 1, { code: 'not-running', message: expect.stringContaining('skein up') }],
  [['stop', '--frobnicate', '--json'], 2, { code: 'invalid-request', message: "unknown option '--frobnicate'" }],
  [['plan', '--json'], 2, { code: 'invalid-request', message: "missing required argument 'model'" }],
])('ends with an error that programs can read: %j', async (commandLine, exitCode, error) => {
  await using data = await temporaryData();
  const { code, stdout, stderr } = await runInProcess(commandLine, { data: data.path });
  expect(code).toBe(exitCode);
  expect(JSON.parse(stdout)).toEqual({ error });
  expect(stderr).toMatch(/^error: /);
});

test.each(['status', 'deploy', 'run', 'invite'])(
  'says in one line what to do when nothing runs: %s',
  async (command) => {
    await using data = await temporaryData();
    const commandLine = command === 'deploy' || command === 'run' ? [command, 'something'] : [command];
    const { code, stdout, stderr } = await runInProcess(commandLine, { data: data.path });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^error: .*skein up.*skein join.*\n$/);
    expect(stderr).toContain(data.path);
  },
);

test.each(['status', 'deploy', 'undeploy', 'run', 'invite', 'stop', 'join'])(
  'does not make a data directory only to look into it: %s',
  async (command) => {
    await using data = await temporaryData();
    const more = { deploy: ['tiny'], undeploy: ['one'], run: ['hello', '--model', 'tiny'] }[command] ?? [];
    await runInProcess([command, ...more], { data: join(data.path, 'missing') });
    expect(await readdir(data.path)).toEqual([]);
  },
);

test.each(['', 'missing'])('asks for an invite where no mesh was joined before: %j', async (name) => {
  await using data = await temporaryData();
  const { code, stderr } = await runInProcess(['join'], { data: join(data.path, name) });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: .*has joined no mesh yet.*skein invite.*\n$/);
});

test('says at once that nothing runs where only this machine was in the mesh', async () => {
  await using data = await temporaryData();
  await saveMembership(data.path, (await (await Authority.ephemeral()).enroll(['peer'])).membership);
  const { code, stderr } = await runInProcess(['run', 'hello'], { data: data.path });
  expect(code).toBe(1);
  expect(stderr).toBe((await runInProcess(['status'], { data: data.path })).stderr);
});

test.each([
  ['nonsense', 'no model is called "nonsense"'],
  ['/nowhere/tiny.gguf', "can't read /nowhere/tiny.gguf; check its path and mode"],
])('checks the model %s before it makes or announces anything', async (model, reason) => {
  await using data = await temporaryData();
  const { code, stdout, stderr } = await runInProcess(['up', '--model', model], { data: join(data.path, 'new') });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain(reason);
  expect(await readdir(data.path)).toEqual([]);
});

test('a port that is taken leaves nothing behind', async () => {
  await using data = await temporaryData();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const quiet = ['--no-serve', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
  const { code, stderr } = await runInProcess(['up', '--port', String(port), ...quiet], { data: data.path });
  server.close();
  expect(code).toBe(1);
  expect(stderr).toMatch(/another program listens on 127\.0\.0\.1:\d+; find it with `.*` .*--port/);
  expect(await readdir(data.path)).toEqual([]);
});

test('names the flag where the address for members is taken', async () => {
  await using data = await temporaryData();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const quiet = ['--no-serve', '--no-mdns', '--port', '0', '--listen', `/ip4/127.0.0.1/tcp/${port}`];
  const { stderr } = await runInProcess(['up', ...quiet], { data: data.path });
  server.close();
  expect(stderr).toMatch(new RegExp(`^error: can't listen on .*/tcp/${port}; .*--listen.*\n$`));
});

test.each([
  ['deploy', 'cancelled; nothing was deployed\n'],
  ['join', 'stopped; nothing of it runs any more\n'],
])('says on a terminal what an interrupted %s led to', async (command, said) => {
  await using data = await temporaryData();
  const signal = AbortSignal.abort();
  const { stderr } = await runInProcess([command, 'x'], { data: data.path, signal, isTTY: true });
  expect(stderr).toBe(said);
});

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
