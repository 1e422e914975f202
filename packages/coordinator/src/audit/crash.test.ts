import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { expect, test } from 'vitest';

import { auditKey, eventsOf, openLog, readLog, refusalOf, temporaryDirectory } from '../testing/audit-fixture.ts';
import { noHash } from './entry.ts';
import { writeHead } from './head.ts';
import { verifyAuditLog } from './verify.ts';

/** A log right after one of its events was written. */
interface Snapshot {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly head: Buffer;
  /** Of all files. */
  readonly bytes: number;
}

/** Writes a log of a few entries and keeps what it was after each. It is not closed: a process that is killed closes nothing. */
async function snapshots(maxFileBytes: number): Promise<Snapshot[]> {
  await using directory = await temporaryDirectory();
  const taken: Snapshot[] = [];
  await using log = await openLog(directory.path, { maxFileBytes });
  const take = async () => {
    const files = await readLog(directory.path);
    const bytes = [...files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    taken.push({ files, bytes, head: await readFile(join(directory.path, 'head.json')) });
  };
  await take();
  for (const type of ['stopped', 'stopped'] as const) {
    await log.append({ type });
    await take();
  }
  return taken;
}

/** Lays out a log as it was when its process was killed after so many bytes. */
async function layOut(directory: string, { taken, bytes }: { taken: readonly Snapshot[]; bytes: number }) {
  const last = taken.at(-1);
  const sealed = taken.findLast((snapshot) => snapshot.bytes <= bytes);
  if (last === undefined || sealed === undefined) throw new Error('nothing was written');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'head.json'), sealed.head);
  let left = bytes;
  let kept = '';
  for (const [name, content] of last.files) {
    const part = content.subarray(0, left);
    await writeFile(join(directory, name), part);
    kept += part.toString();
    left -= part.byteLength;
    if (part.byteLength < content.byteLength) break;
  }
  return { wholeLines: kept.split('\n').slice(0, -1), tornBytes: kept.length - (kept.lastIndexOf('\n') + 1) };
}

/** Lists the lengths at which a log is cut: all within four bytes of the end of a line or file, and each fifth between. */
function* cuts(taken: readonly Snapshot[]): Generator<number> {
  const [first, last] = [taken[0]?.bytes ?? 0, taken.at(-1)?.bytes ?? 0];
  const text = Buffer.concat([...(taken.at(-1)?.files.values() ?? [])]);
  for (let bytes = first; bytes < last; bytes += 1) {
    if (bytes % 5 === 0 || text.subarray(Math.max(0, bytes - 4), bytes + 4).includes('\n')) yield bytes;
  }
}

test.each([
  ['in one file', 10_000],
  ['over files', 300],
])(
  'keeps every whole entry wherever it is killed, %s',
  async (_, maxFileBytes) => {
    await using root = await temporaryDirectory();
    const taken = await snapshots(maxFileBytes);
    for (const bytes of cuts(taken)) {
      const directory = join(root.path, String(bytes));
      const { wholeLines, tornBytes } = await layOut(directory, { taken, bytes });
      const before = await verifyAuditLog(directory);
      expect(before).toMatchObject({ ok: true, entries: wholeLines.length });
      expect(before.torn?.bytes ?? 0).toBe(tornBytes);

      await using log = await openLog(directory, { maxFileBytes });
      await log.append(refusalOf(9));
      const content = [...(await readLog(directory)).values()].join('');
      expect(content.split('\n').slice(0, wholeLines.length)).toEqual(wholeLines);
      const { ok, recoveries } = await verifyAuditLog(directory);
      expect([ok, recoveries.map((recovery) => recovery.tornBytes)]).toEqual([
        true,
        tornBytes > 0 || before.unsealed > 0 ? [tornBytes] : [],
      ]);
    }
  },
  120_000,
);

test.each([undefined, 0, 1, 200])('begins anew when it is killed after %s bytes of its first entry', async (bytes) => {
  await using directory = await temporaryDirectory();
  const content = (await snapshots(10_000))[0]?.files.get('000001.jsonl');
  await writeHead(directory.path, { entries: 0, hash: noHash, time: new Date(0).toISOString(), key: auditKey });
  if (bytes !== undefined) await writeFile(join(directory.path, '000001.jsonl'), content?.subarray(0, bytes) ?? '');
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, entries: 0 });
  await using log = await openLog(directory.path);
  await log.append(refusalOf(1));
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, torn: undefined });
  expect((await eventsOf(directory.path))[0]).toMatchObject({ type: 'opened' });
});

test('tells of what it moved away also when it was killed while it did', async () => {
  await using directory = await temporaryDirectory();
  const taken = await snapshots(10_000);
  const { wholeLines } = await layOut(directory.path, { taken, bytes: (taken[1]?.bytes ?? 0) + 50 });
  const kept = `torn-${String(wholeLines.length + 1).padStart(6, '0')}`;
  const path = join(directory.path, '000001.jsonl');
  const content = await readFile(path);
  // Copied and cut, but the entry that says so was not written, or only the start of it.
  await writeFile(join(directory.path, kept), content.subarray(-50));
  for (const start of ['', '{"seq":']) {
    await writeFile(path, Buffer.concat([content.subarray(0, -50), Buffer.from(start)]));
    await writeFile(join(directory.path, 'head.json'), taken[1]?.head ?? '');
    await using log = await openLog(directory.path);
    await log.close();
    const events = await eventsOf(directory.path);
    expect(events[wholeLines.length]).toEqual({ type: 'recovered', unsealed: 0, tornBytes: 50, kept });
    expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, recoveries: [{ tornBytes: 50 }] });
    expect(await readFile(join(directory.path, kept))).toEqual(content.subarray(-50));
  }
});

test('loses nothing that it said was written when its process is killed', async () => {
  await using directory = await temporaryDirectory();
  const pem = String(auditKey.export({ type: 'pkcs8', format: 'pem' }));
  const acknowledged: number[] = [];
  for (const lines of [1, 40, 7, 120, 60]) {
    const program = join(import.meta.dirname, '..', 'testing', 'append-for-ever.ts');
    const child = spawn(process.execPath, [program, directory.path, pem], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let left = lines;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(Number(line));
      left -= 1;
      // Lines that it prints until it is dead count as well.
      if (left === 0) child.kill('SIGKILL');
    }
    await exited;
  }
  await using log = await openLog(directory.path);
  await log.close();
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, torn: undefined, unsealed: 0 });
  const entries = [...(await readLog(directory.path)).values()].join('').split('\n').slice(0, -1);
  for (const seq of acknowledged) expect(entries[seq - 1]).toContain(`{"seq":${seq},`);
  expect(acknowledged.length).toBeGreaterThanOrEqual(228);
}, 60_000);
