import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { silentLogger } from '@skein/protocol';
import { expect, test, vi } from 'vitest';

import {
  auditKey,
  eventsOf,
  openLog,
  readLog,
  refusalOf,
  requestEvent,
  temporaryDirectory,
  writeLog,
} from '../testing/audit-fixture.ts';
import { peerIdOf, sha256 } from '../testing/fixtures.ts';
import { encodeEntry, maxLineBytes, noHash } from './entry.ts';
import { auditEventSchema, maxRequestPeers } from './events.ts';
import { verifyAuditLog } from './verify.ts';

const typesOf = async (directory: string) => (await eventsOf(directory)).map(({ type }) => type);
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

test('writes what is told to it, each entry with the hash of all of it and of the one before', async () => {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, [requestEvent, refusalOf(1)], { now: () => 0 });
  const content = await readFile(join(directory.path, '000001.jsonl'), 'utf8');
  let previous = noHash;
  for (const [index, line] of content.trimEnd().split('\n').entries()) {
    const [text = ''] = line.split(',"hash":');
    const entry = JSON.parse(line) as Record<string, unknown>;
    expect(entry).toMatchObject({ seq: index + 1, time: '1970-01-01T00:00:00.000Z', previous, hash: sha256(text) });
    previous = sha256(text);
  }
  expect(await eventsOf(directory.path)).toMatchObject([
    { type: 'opened' },
    requestEvent,
    { ...refusalOf(1), count: 1 },
    { type: 'checkpoint' },
  ]);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, entries: 4, checkpoints: 1, unsealed: 0 });
});

test.skipIf(process.platform === 'win32')('lets nobody else read it', async () => {
  await using root = await temporaryDirectory();
  const directory = join(root.path, 'audit');
  await writeLog(directory, [refusalOf(1)]);
  expect(await modeOf(directory)).toBe('700');
  for (const name of ['000001.jsonl', 'head.json']) expect(await modeOf(join(directory, name))).toBe('600');
});

test('has on the disk, in order, what it said was written', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path);
  const written = await Promise.all(
    Array.from({ length: 250 }, async (_, index) => await log.append(refusalOf(index))),
  );
  expect(written.toSorted((one, other) => one - other)).toEqual(written);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, checkpoints: 2, entries: 253, unsealed: 0 });
});

test('goes on where it was closed', async () => {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, [refusalOf(1)]);
  await writeLog(directory.path, [refusalOf(2)]);
  expect(await typesOf(directory.path)).toEqual(['opened', 'refusal', 'checkpoint', 'refusal', 'checkpoint']);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, recoveries: [] });
});

test('signs after so many entries, and after so long', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { checkpointEntries: 3, checkpointMs: 1 });
  for (const number of [1, 2]) await log.append(refusalOf(number));
  expect((await typesOf(directory.path)).filter((type) => type === 'checkpoint').length).toBeGreaterThan(0);
  const before = await typesOf(directory.path);
  await log.append(refusalOf(3));
  await vi.waitFor(async () => {
    const types = await typesOf(directory.path);
    expect(types.length).toBeGreaterThan(before.length + 1);
    expect(types.at(-1)).toBe('checkpoint');
  });
});

test('begins a new file when one is full, and signs the end of the old one', async () => {
  await using directory = await temporaryDirectory();
  const events = Array.from({ length: 20 }, (_, index) => refusalOf(index));
  await writeLog(directory.path, events.slice(0, 10), { maxFileBytes: 1000 });
  await writeLog(directory.path, events.slice(10), { maxFileBytes: 1000 });
  const files = [...(await readLog(directory.path)).values()];
  expect(files.length).toBeGreaterThan(4);
  for (const content of files.slice(0, -1)) {
    expect(content.byteLength).toBeGreaterThan(1000);
    expect(content.toString().trimEnd().split('\n').at(-1)).toContain('"type":"checkpoint"');
  }
  expect((await eventsOf(directory.path)).filter(({ type }) => type === 'refusal')).toHaveLength(20);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, files: files.length });
});

test('writes several files at once in their order', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { maxFileBytes: 500 });
  await Promise.all(Array.from({ length: 40 }, async (_, index) => await log.append(refusalOf(index))));
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, unsealed: 0 });
});

test('can be verified while it is written', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { maxFileBytes: 2000, checkpointEntries: 7 });
  const writing = (async () => {
    for (let number = 0; number < 200; number += 1) await log.append(refusalOf(number));
  })();
  let seen = 0;
  while (seen < 200) {
    const { entries, problems } = await verifyAuditLog(directory.path);
    expect(problems).toEqual([]);
    seen = entries;
  }
  await writing;
});

test('refuses events once it is closed', async () => {
  await using directory = await temporaryDirectory();
  const log = await openLog(directory.path);
  await Promise.all([log.close(), log.close()]);
  await expect(log.append(refusalOf(1))).rejects.toMatchObject({ code: 'not-running' });
});

test('refuses to go on with the log of another key', async () => {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, [refusalOf(1)]);
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const message = expect.stringMatching(/another key; .*move that directory away/) as string;
  await expect(openLog(directory.path, { key })).rejects.toMatchObject({ code: 'disk-failed', message });
});

test.each<[what: string, damage: (directory: string) => Promise<void>]>([
  ['without its head', async (directory) => await rm(join(directory, 'head.json'))],
  ['without its files', async (directory) => await rm(join(directory, '000001.jsonl'))],
  ['that lacks entries at its end', async (directory) => await cutLast(directory, 400)],
  ['whose last line lost its end', async (directory) => await cutLast(directory, 1)],
  ['in which something was changed', async (directory) => await replace(directory, '192.0.2.1/', '192.0.2.9/')],
])('refuses to go on with a log %s, and leaves it as it is', async (_, damage) => {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, [refusalOf(1), refusalOf(2)]);
  await damage(directory.path);
  const before = await readLog(directory.path);
  const message = expect.stringContaining('skein audit verify') as string;
  await expect(openLog(directory.path)).rejects.toMatchObject({ code: 'disk-failed', message });
  expect(await readLog(directory.path)).toEqual(before);
});

async function cutLast(directory: string, bytes: number): Promise<void> {
  const path = join(directory, '000001.jsonl');
  await writeFile(path, (await readFile(path)).subarray(0, -bytes));
}

async function replace(directory: string, text: string, by: string): Promise<void> {
  const path = join(directory, '000001.jsonl');
  await writeFile(path, (await readFile(path, 'utf8')).replace(text, by));
}

/** Has everything fail that is to be written: a directory stands where a file is needed. */
async function breakDisk(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, 'head.json.new');
  await mkdir(path);
  return async () => await rmdir(path);
}

test('says so while it can not be written, and writes what it kept once it can', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path);
  await log.assertWritable();
  const repair = await breakDisk(directory.path);
  await expect(log.append(refusalOf(1))).rejects.toMatchObject({ code: 'disk-failed' });
  await expect(log.append(refusalOf(2))).rejects.toMatchObject({ code: 'disk-failed' });
  const refused = log.assertWritable();
  await expect(refused).rejects.toMatchObject({ code: 'disk-failed' });
  // Callers of the HTTP API get this text: where the data lies is none of their business.
  await expect(refused).rejects.not.toThrow(directory.path);
  await repair();
  await log.assertWritable();
  expect(await eventsOf(directory.path)).toMatchObject([{ type: 'opened' }, refusalOf(1), refusalOf(2)]);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, unsealed: 0 });
});

test('begins the next file once it can, when it could not', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { maxFileBytes: 10 });
  const path = join(directory.path, '000002.jsonl');
  await mkdir(path);
  await log.append(refusalOf(1));
  await expect(log.append(refusalOf(2))).rejects.toMatchObject({ code: 'disk-failed' });
  await rmdir(path);
  await log.append(refusalOf(3));
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, unsealed: 0 });
  expect((await eventsOf(directory.path)).filter(({ type }) => type === 'refusal')).toHaveLength(3);
});

test('counts the events for which there was no room, and writes their number', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { checkpointEntries: 1_000_000 });
  const repair = await breakDisk(directory.path);
  const told = Array.from({ length: 10_003 }, async () => await log.append({ type: 'stopped' }));
  const failures = (await Promise.allSettled(told)).map((one) => one.status === 'rejected' && (one.reason as object));
  expect(failures.filter((failure) => failure && 'code' in failure && failure.code === 'overloaded')).toHaveLength(3);
  await repair();
  await log.assertWritable();
  await log.append(refusalOf(1));
  const events = await eventsOf(directory.path);
  expect(events.slice(-2)).toMatchObject([{ type: 'dropped', count: 3 }, refusalOf(1)]);
  expect(events).toHaveLength(10_003);
});

test('takes nothing that is not one of its events, and nothing without bounds', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path);
  const endless = { ...requestEvent, endpoint: '/v1'.repeat(1000) };
  await expect(log.append(endless)).rejects.toThrow('endpoint');
  await expect(log.append({ type: 'checkpoint' } as never)).rejects.toThrow('type');
  const peers = Array.from({ length: maxRequestPeers }, (_, index) => `${peerIdOf(index)}${'x'.repeat(108)}`);
  const longest = auditEventSchema.parse({ ...requestEvent, model: '\0'.repeat(512), peers, readAlong: peers });
  const { line } = encodeEntry(longest, { seq: 1, time: new Date(0).toISOString(), previous: noHash, key: auditKey });
  expect(line.byteLength).toBeLessThan(maxLineBytes);
  const more = { ...requestEvent, prompt: 'a secret' };
  await log.append(more);
  expect((await readLog(directory.path)).get('000001.jsonl')?.includes('secret')).toBe(false);
});

test("says that an event is missing which does not fit, in the program's log as well", async () => {
  await using directory = await temporaryDirectory();
  const error = vi.fn<(fields: object, message: string) => void>();
  const log = await openLog(directory.path, { logger: { ...silentLogger, error } });
  await expect(log.append({ ...requestEvent, completionTokens: 2 ** 53 })).rejects.toMatchObject({ code: 'internal' });
  expect(error.mock.calls).toMatchObject([[{ event: 'request', fields: ['completionTokens'] }, /missing/]]);
  await log.close();
  expect(await typesOf(directory.path)).toEqual(['opened', 'dropped', 'checkpoint']);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true });
});
