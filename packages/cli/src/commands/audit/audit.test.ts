import { cp, mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { AuditLog, type AuditEvent } from '@skein/coordinator';
import { Authority, createIdentity, saveMembership, signingKeyOf } from '@skein/mesh';
import { expect, test } from 'vitest';

import { auditDirectory } from '../../data/audit-directory.ts';
import { runInProcess } from '../../testing/run-in-process.ts';

const [ada, bob] = [(await createIdentity()).peerId, (await createIdentity()).peerId];
const day = 86_400_000;
const events: readonly AuditEvent[] = [
  { type: 'join', peer: bob, role: 'peer', name: 'attic', address: '/ip4/192.168.1.20/tcp/7330' },
  { type: 'refusal', reason: 'not-a-member', address: '/ip4/192.168.1.66/tcp/4711', count: 3 },
  {
    type: 'deployment',
    action: 'deployed',
    deployment: 'deployment-1',
    model: '=tiny, "1"',
    sha256: 'ab'.repeat(32),
    stages: [
      { peer: ada, from: 0, to: 5 },
      { peer: bob, from: 5, to: 6 },
    ],
  },
  {
    type: 'request',
    id: 'chatcmpl-1',
    client: 'local',
    address: '127.0.0.1',
    endpoint: '/v1/chat/completions',
    outcome: 'failed',
    model: '=tiny, "1"',
    peers: [ada],
    readAlong: [bob],
    completionTokens: 7,
    error: 'stage-lost',
    durationMs: 1234,
  },
];

/** A data directory with a log, written by a clock that goes on by half a day whenever it is looked at. */
async function temporaryData() {
  const data = await mkdtempDisposable(join(tmpdir(), 'skein-audit-'));
  const { identity, membership } = await (await Authority.ephemeral()).enroll(['coordinator']);
  await saveMembership(data.path, membership);
  let days = -1;
  await using log = await AuditLog.open({
    directory: auditDirectory(data.path),
    key: signingKeyOf(identity),
    now: () => (days += 0.5) * day,
  });
  for (const event of events) await log.append(event);
  return {
    path: data.path,
    peer: identity.peerId,
    file: join(auditDirectory(data.path), '000001.jsonl'),
    [Symbol.asyncDispose]: async () => await data[Symbol.asyncDispose](),
  };
}

async function replace(file: string, text: string, by: string): Promise<void> {
  await writeFile(file, (await readFile(file, 'utf8')).replace(text, by));
}

test('finds a log to be as it was written, and says by whom', async () => {
  await using data = await temporaryData();
  const { code, stdout } = await runInProcess(['audit', 'verify'], { data: data.path });
  expect(code).toBe(0);
  expect(stdout).toContain('The log is as its coordinator wrote it: 6 entries in 1 file.');
  expect(stdout).toContain(`signed by ${data.peer}\n`);
  const { stdout: json } = await runInProcess(['audit', 'verify', '--json'], { data: data.path });
  expect(JSON.parse(json)).toMatchObject({ ok: true, entries: 6, checkpoints: 1, isKnownKey: true, signer: data.peer });
});

test('names the line that was edited, and ends with a code of its own', async () => {
  await using data = await temporaryData();
  await replace(data.file, 'attic', 'cellar');
  const { code, stdout, stderr } = await runInProcess(['audit', 'verify'], { data: data.path });
  expect([code, stderr]).toEqual([3, '']);
  expect(stdout).toMatch(/TAMPERED[\s\S]*000001\.jsonl, line 2 \(byte \d+\): entry 2 was changed/);
  const { code: sameCode, stdout: json } = await runInProcess(['audit', 'verify', '--json'], { data: data.path });
  expect(sameCode).toBe(3);
  expect(JSON.parse(json)).toMatchObject({ ok: false, problems: [{ kind: 'changed', file: '000001.jsonl', line: 2 }] });
});

test('checks a log against the coordinator that is named', async () => {
  await using data = await temporaryData();
  const verify = async (peer: string) =>
    (await runInProcess(['audit', 'verify', '--peer', peer], { data: data.path })).code;
  expect([await verify(data.peer), await verify(bob), await verify('nobody')]).toEqual([0, 3, 1]);
});

test('says when nobody has vouched for the key', async () => {
  await using data = await temporaryData();
  await using copy = await mkdtempDisposable(join(tmpdir(), 'skein-audit-'));
  await cp(auditDirectory(data.path), auditDirectory(copy.path), { recursive: true });
  const { code, stdout } = await runInProcess(['audit', 'verify'], { data: copy.path });
  expect(code).toBe(0);
  expect(stdout).toContain(`signed by ${data.peer}, which nobody has vouched for`);
  expect(await readdir(copy.path)).toEqual(['audit']);
});

test('shows the last entries for people', async () => {
  await using data = await temporaryData();
  const { stdout } = await runInProcess(['audit', 'tail', '-n', '5'], { data: data.path });
  const [joined, refused, deployed, asked, checkpoint] = stdout.trimEnd().split('\n');
  expect(joined).toContain(`join  attic (…${bob.slice(-6)}) as peer from /ip4/192.168.1.20/tcp/7330`);
  expect(refused).toContain('refusal  somebody: not-a-member from /ip4/192.168.1.66/tcp/4711, 3 times');
  expect(deployed).toContain(`deployed: =tiny, "1", layers 0–4 on …${ada.slice(-6)}, layer 5 on …${bob.slice(-6)}`);
  expect(asked).toContain('failed (stage-lost): =tiny, "1", ? + 7 tokens, 1.2 s, asked by a program from 127.0.0.1');
  expect(asked).toContain(`seen by …${ada.slice(-6)}, read along by …${bob.slice(-6)}`);
  expect(checkpoint).toMatch(/checkpoint$/);
});

test('shows the last entries as they stand in the log, and follows it until it is interrupted', async () => {
  await using data = await temporaryData();
  const lines = (await readFile(data.file, 'utf8')).split('\n');
  const { stdout } = await runInProcess(['audit', 'tail', '-n', '2', '--json'], { data: data.path });
  expect(stdout).toBe(lines.slice(-3).join('\n'));
  const interruption = new AbortController();
  const { signal } = interruption;
  const printed = { signal, data: data.path, onPrint: () => interruption.abort() };
  const followed = await runInProcess(['audit', 'tail', '-n', '1', '--follow', '--json'], printed);
  expect(followed.stdout).toBe(`${lines.at(-2)}\n`);
});

test('exports the log as it is, between two times', async () => {
  await using data = await temporaryData();
  const content = await readFile(data.file, 'utf8');
  expect((await runInProcess(['audit', 'export'], { data: data.path })).stdout).toBe(content);
  const times = content
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { time: string }).time]));
  const [, second = '', , fourth = ''] = times;
  const some = await runInProcess(['audit', 'export', '--since', second, '--until', fourth], { data: data.path });
  expect(some.stdout).toBe(`${content.split('\n').slice(1, 3).join('\n')}\n`);
});

test('exports rows that a spreadsheet takes for text', async () => {
  await using data = await temporaryData();
  const { stdout } = await runInProcess(['audit', 'export', '--format', 'csv'], { data: data.path });
  const rows = stdout.split('\r\n');
  expect(rows).toHaveLength(8);
  expect(rows[0]).toMatch(/^seq,time,type,/);
  expect(rows[5]).toContain(`,127.0.0.1,/v1/chat/completions,"'=tiny, ""1""",,,${ada},${bob},,`);
});

test('exports nothing from a line on that was changed, and says which', async () => {
  await using data = await temporaryData();
  await replace(data.file, 'attic', 'cellar');
  const { code, stdout, stderr } = await runInProcess(['audit', 'export'], { data: data.path });
  expect([code, stdout.split('\n')]).toEqual([1, [expect.stringContaining('"opened"'), '']]);
  expect(stderr).toMatch(/^error: 000001\.jsonl, line 2 was changed.*\n$/);
});

test.each([
  [['audit', 'tail', '-n', '-1'], 'whole number'],
  [['audit', 'export', '--since', 'yesterday'], '2026-11-26'],
  [['audit', 'export', '--format', 'xml'], 'jsonl, csv'],
  [['audit', 'erase'], "unknown command 'erase'"],
])('refuses wrong usage: %j', async (commandLine, reason) => {
  const { code, stderr } = await runInProcess(commandLine);
  expect(code).toBe(2);
  expect(stderr).toContain(reason);
});

test.each(['verify', 'tail', 'export'])('says that there is no log, and makes none: %s', async (command) => {
  await using data = await mkdtempDisposable(join(tmpdir(), 'skein-audit-'));
  const { code, stderr } = await runInProcess(['audit', command], { data: join(data.path, 'missing') });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: there is no audit log in .*skein up.*\n$/);
  expect(await readdir(data.path)).toEqual([]);
});
