import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { invariant, silentLogger } from '@skein/protocol';
import { expect, onTestFinished, test, vi } from 'vitest';

import { inhibitors, keepAwake } from './keep-awake.ts';

test('asks each system in its own words, for as long as a process runs', () => {
  expect(inhibitors('darwin', 42)).toEqual([['/usr/bin/caffeinate', '-i', '-w', '42']]);
  const [whole, idle] = inhibitors('linux', 42);
  expect(whole).toEqual(expect.arrayContaining(['systemd-inhibit', '--what=idle:sleep', '--pid=42']));
  expect(idle).toContain('--what=idle');
  expect(inhibitors('win32', 42)).toEqual([]);
});

test.skipIf(process.platform !== 'linux')('takes the first way that works, and ends with the process', async () => {
  const warn = vi.fn<() => void>();
  const engine = spawn('sleep', ['1000'], { stdio: 'ignore' });
  onTestFinished(() => void engine.kill('SIGKILL'));
  const pid = invariant(engine.pid, 'it was started');
  const [, ...command] = invariant(inhibitors('linux', pid)[0], 'Linux has a way');
  // Without systemd-inhibit, which needs a system that runs systemd.
  const held = command.slice(command.indexOf('tail'));
  const awake = keepAwake([['no-such-program'], ['false'], ['env', ...held]], { ...silentLogger, warn });
  engine.kill('SIGKILL');
  await once(engine, 'exit');
  await awake;
  expect(warn).not.toHaveBeenCalled();
});

test.skipIf(process.platform === 'win32')('warns with the reason where no way works', async () => {
  const warn = vi.fn<(fields: object) => void>();
  await keepAwake([['sh', '-c', 'echo Access denied >&2; exit 1']], { ...silentLogger, warn });
  expect(warn).toHaveBeenCalledExactlyOnceWith({ reason: 'sh: Access denied' }, expect.stringContaining('sleep'));
  await keepAwake([['no-such-program']], { ...silentLogger, warn });
  expect(warn).toHaveBeenLastCalledWith({ reason: expect.stringContaining('ENOENT') as string }, expect.anything());
  // A program that Node does not even try to start: the engine serves all the same.
  await keepAwake([['no\0program']], { ...silentLogger, warn });
  expect(warn).toHaveBeenCalledTimes(3);
});
