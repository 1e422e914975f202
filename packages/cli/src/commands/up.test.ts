import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, loadIdentity, saveMembership } from '@skein/mesh';
import { expect, test } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-up-'));
}

/** Returns the facts that `up` prints about itself, and then interrupts it. */
async function upOnce(words: readonly string[]): Promise<string> {
  const controller = new AbortController();
  const { signal } = controller;
  const { stdout, stderr } = await runInProcess(words, { signal, onPrint: () => controller.abort() });
  expect(stderr).toBe('');
  return stdout;
}

const quiet = ['--port', '0', '--no-serve', '--no-mdns'];
const here = ['--listen', '/ip4/127.0.0.1/tcp/0'];

test('says how to let others in with the same command, as it was given', async () => {
  await using root = await temporaryData();
  const data = join(root.path, "attic's");
  const given = [...quiet, '--peer', '/ip4/127.0.0.1/tcp/9', '--peer', '/ip4/127.0.0.1/tcp/19', '--name', 'the attic'];
  // Nobody is at these addresses, as the log would say.
  const printed = await upOnce(['--data', data, '--log-level', 'error', 'up', ...given, ...here]);
  const next = printed.split('\n').find((line) => line.startsWith('  skein up '));
  expect(next).toContain(
    "--port 0 --no-serve --peer /ip4/127.0.0.1/tcp/9 --peer /ip4/127.0.0.1/tcp/19 --no-mdns --name 'the attic'",
  );
  expect(next).toContain(String.raw`--data '${root.path}/attic'\''s'`);
  expect(next?.match(/--listen \S+/g)).toEqual(['--listen /ip4/0.0.0.0/tcp/7330']);
});

test('stays awake where that was asked for, says so, and repeats no opposite', async () => {
  await using root = await temporaryData();
  const words = [
    'up',
    '--data',
    root.path,
    ...quiet.filter((word) => word !== '--no-serve'),
    '--backend',
    'cpu',
    ...here,
  ];
  const printed = await upOnce([...words, '--keep-awake']);
  expect(printed).toContain('\nThis machine stays awake while it holds a stage');
  expect(printed).toMatch(/^ {2}skein up .* --keep-awake(?! --no-keep-awake)/m);
  expect(await upOnce([...words, '--no-keep-awake'])).not.toContain('awake while');
}, 30_000);

test('says no more than was given', async () => {
  await using root = await temporaryData();
  const printed = await upOnce(['up', '--data', root.path, ...quiet, ...here]);
  expect(printed).toContain(
    `\n  skein up --listen /ip4/0.0.0.0/tcp/7330 --port 0 --no-serve --no-mdns --data ${root.path}\n`,
  );
});

test('invites nobody where another machine has the authority', async () => {
  await using root = await temporaryData();
  const { peerId } = await loadIdentity(root.path);
  const authority = await Authority.ephemeral();
  await saveMembership(root.path, await authority.admit(peerId, { roles: ['coordinator'], name: 'attic' }));
  const printed = await upOnce(['up', '--data', root.path, ...quiet, ...here]);
  expect(printed).toMatch(/^Skein is up\..*\nThe keys in .*\n$/);
});
