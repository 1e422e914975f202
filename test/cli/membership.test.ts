import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, vi } from 'vitest';
import { z } from 'zod';

import { startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';
import { daemonStatusOf } from '../support/daemon-status.ts';
import { runCommand } from '../support/run-command.ts';

/** Membership, by the commands as a person uses them. */
const quiet = ['--no-mdns', '--backend', 'cpu', '--threads', '1', '--listen', '/ip4/127.0.0.1/tcp/0'];
const statusSchema = z.looseObject({
  members: z.array(z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()).optional() })),
});
const membersSchema = z.object({
  members: z.array(
    z.looseObject({ peer: z.string(), name: z.string(), state: z.string(), roles: z.array(z.string()) }),
  ),
});

it('lets a machine in with an invite, once, and puts it out again for everybody', async () => {
  const signal = AbortSignal.timeout(100_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-membership-'));
  const machine = (name: string): Machine => ({ name, data: join(root.path, name) });
  const [home, attic, cellar] = [machine('home'), machine('attic'), machine('cellar')] as const;
  const invite = async (...flags: readonly string[]): Promise<string> => {
    const printed = await runCommand(['invite', ...flags], { machine: home, signal });
    return z.object({ invite: z.string() }).parse(printed).invite;
  };
  const namesSeenBy = async (from: Machine): Promise<string[]> =>
    (await daemonStatusOf(from))?.cards.map(({ name }) => name).sort() ?? [];
  const start = async (line: readonly string[], on: Machine) =>
    await startSkein([...line, '--name', on.name, ...quiet], { machine: on, signal });

  await using _home = await start(['up', '--port', '0'], home);
  const first = await invite('--label', 'room=attic');
  await using _attic = await start(['join', first], attic);
  await expect(start(['join', first], cellar)).rejects.toThrow(/skein invite/);
  await using _cellar = await start(['join', await invite()], cellar);
  await vi.waitFor(async () => expect(await namesSeenBy(cellar)).toEqual(['attic', 'cellar', 'home']));

  const seen = statusSchema.parse(await runCommand(['status'], { machine: cellar, signal }));
  expect(seen.members.find(({ name }) => name === 'attic')?.labels).toEqual({ room: 'attic' });
  const { members } = membersSchema.parse(await runCommand(['members'], { machine: home, signal }));
  expect(members.map(({ name, roles, state }) => [name, state, ...roles])).toEqual([
    ['home', 'member', 'coordinator', 'peer'],
    ['attic', 'member', 'peer'],
    ['cellar', 'member', 'peer'],
  ]);
  await expect(runCommand(['invite'], { machine: attic, signal })).rejects.toThrow(/authority/);

  const peer = members.find(({ name }) => name === 'attic')?.peer ?? '';
  await runCommand(['revoke', peer.slice(-8)], { machine: home, signal });
  for (const from of [home, cellar]) {
    await vi.waitFor(async () => expect(await namesSeenBy(from)).toEqual(['cellar', 'home']));
  }
  await expect(runCommand(['leave'], { machine: home, signal })).rejects.toThrow(/skein authority export.*--remove/);
  await runCommand(['leave'], { machine: cellar, signal });
  await vi.waitFor(async () => expect(await namesSeenBy(home)).toEqual(['home']));

  const lines = (await readFile(join(home.data, 'audit', '000001.jsonl'), 'utf8')).trimEnd().split('\n');
  const entries = lines.map((line) => z.looseObject({ type: z.string() }).parse(JSON.parse(line)));
  const ofType = (type: string) => entries.filter((entry) => entry.type === type);
  expect(ofType('join')).toMatchObject([{ name: 'attic', role: 'peer' }, { name: 'cellar' }]);
  expect(ofType('revocation')).toMatchObject([
    { name: 'attic', reason: 'revoked' },
    { name: 'cellar', reason: 'left' },
  ]);
  expect(ofType('refusal')[0]).toMatchObject({ reason: 'not-a-member', address: '127.0.0.1' });
  expect(await runCommand(['audit', 'verify'], { machine: home, signal })).toMatchObject({ ok: true });
}, 110_000);

it('lets a machine wait until somebody has approved it', async () => {
  const signal = AbortSignal.timeout(100_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-approval-'));
  const [home, attic] = [
    { name: 'home', data: join(root.path, 'home') },
    { name: 'attic', data: join(root.path, 'attic') },
  ] as const;
  await using _home = await startSkein(['up', '--port', '0', ...quiet], { machine: home, signal });
  const printed = await runCommand(['invite', '--approve'], { machine: home, signal });
  const { invite } = z.object({ invite: z.string() }).parse(printed);
  const ask = async (until: AbortSignal) =>
    await startSkein(['join', invite, '--name', 'attic', ...quiet], { machine: attic, signal: until });
  const givenUp = new AbortController();
  const interrupted = ask(AbortSignal.any([signal, givenUp.signal]));
  interrupted.catch(() => undefined);
  const waiting = async () => {
    const { members } = membersSchema.parse(await runCommand(['members'], { machine: home, signal }));
    return members.find(({ state }) => state === 'waiting');
  };
  const { peer, name } = await vi.waitUntil(waiting, { interval: 200 });
  expect(name).toBe('attic');
  givenUp.abort(new Error('given up'));
  await expect(interrupted).rejects.toThrow('given up');
  // It is still the same machine that waits.
  const joining = ask(signal);
  await expect(runCommand(['members', 'approve', 'nobody'], { machine: home, signal })).rejects.toThrow(
    /skein members/,
  );
  expect(await runCommand(['members', 'approve', peer.slice(-8)], { machine: home, signal })).toEqual({ peer });
  await using attics = await joining;
  expect(attics.facts).toMatchObject({ peer });
  expect(await waiting()).toBeUndefined();
}, 110_000);

it('moves the authority to another machine, which lets others in from then on', async () => {
  const signal = AbortSignal.timeout(100_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-authority-'));
  const [old, next] = [
    { name: 'old', data: join(root.path, 'old') },
    { name: 'next', data: join(root.path, 'next') },
  ] as const;
  const words = join(root.path, 'words.txt');
  await writeFile(words, 'correct horse\n', { mode: 0o600 });
  const file = join(root.path, 'mesh.move');
  const meshOf = (facts: unknown): string => z.looseObject({ mesh: z.string() }).parse(facts).mesh;
  const up = async (machine: Machine) => await startSkein(['up', '--port', '0', ...quiet], { machine, signal });
  let mesh: string;
  {
    await using home = await up(old);
    mesh = meshOf(home.facts);
    await expect(
      runCommand(['authority', 'export', file, '--file-passphrase', words], { machine: old, signal }),
    ).rejects.toThrow(/skein stop/);
  }
  await runCommand(['authority', 'export', file, '--file-passphrase', words, '--remove'], { machine: old, signal });
  expect(await readFile(file, 'utf8')).not.toContain(mesh);
  await runCommand(['authority', 'import', file, '--file-passphrase', words], { machine: next, signal });
  await using home = await up(next);
  expect(meshOf(home.facts)).toBe(mesh);
  await using member = await up(old);
  expect(meshOf(member.facts)).toBe(mesh);
  await expect(runCommand(['invite'], { machine: old, signal })).rejects.toThrow(/authority/);
  await runCommand(['invite'], { machine: next, signal });
}, 110_000);
