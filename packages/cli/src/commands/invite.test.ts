import { createIdentity, type InviteOptions } from '@skein/mesh';
import { encodeInvite } from '@skein/protocol';
import { expect, test } from 'vitest';

import { runInProcess, type Outcome } from '../testing/run-in-process.ts';
import { startTestDaemon } from '../testing/test-daemon.ts';

const here = '/ip4/127.0.0.1/tcp/7330';
const everywhere = '/ip4/192.168.1.20/tcp/7330';

/** Asks for an invite where a daemon with these addresses runs. */
async function invite(
  flags: readonly string[],
  addresses: readonly string[],
): Promise<Outcome & { readonly code: number; readonly text: string; readonly asked: readonly InviteOptions[] }> {
  const { peerId } = await createIdentity();
  const text = encodeInvite({ mesh: peerId, secret: new Uint8Array(16), peer: peerId, addresses: [...addresses] });
  const asked: InviteOptions[] = [];
  await using daemon = await startTestDaemon({
    invite: (options) => {
      asked.push(options);
      return { invite: text };
    },
  });
  return { ...(await runInProcess(['invite', ...flags], { data: daemon.directory })), text, asked };
}

test('prints the line to run on the other machine, and nothing else', async () => {
  const { code, stdout, stderr, text } = await invite([], [here, everywhere]);
  expect([code, stdout, stderr]).toEqual([0, `skein join ${text}\n`, '']);
});

test('prints the bare invite for a program, and where it goes', async () => {
  const { code, stdout, stderr, text, asked } = await invite(['--role', 'client'], [everywhere]);
  expect([code, stdout]).toEqual([0, `${text}\n`]);
  expect(stderr).toMatch(/^.*client SDK.*packages\/client\/README\.md.*\n$/);
  expect(stderr).not.toContain('skein join');
  expect(asked).toMatchObject([{ role: 'client' }]);
});

test('refuses an invite that is good for no time in words of its own', async () => {
  const { code, stderr, asked } = await invite(['--expires', '0s'], [everywhere]);
  expect(code).toBe(2);
  expect(stderr).toContain("option '--expires <time>' argument '0s' is invalid. It must be a time of at least 1s");
  expect(asked).toEqual([]);
});

test('says when no other machine can use it, and what helps', async () => {
  const { code, stdout, stderr, text } = await invite([], [here, '/ip6/::1/tcp/7330']);
  expect([code, stdout]).toEqual([0, `skein join ${text}\n`]);
  expect(stderr).toMatch(/^.*no other machine.*--listen \/ip4\/0\.0\.0\.0\/tcp\/7330.*\n$/);
});

test.each([['peer'], ['client']])('prints the same JSON for a %s', async (role) => {
  const { stdout, text } = await invite(['--role', role, '--json'], [everywhere]);
  expect(JSON.parse(stdout)).toEqual({ invite: text });
});
