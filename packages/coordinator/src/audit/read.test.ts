import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { openLog, refusalOf, temporaryDirectory, writeLog } from '../testing/audit-fixture.ts';
import { followEntries, lastEntries, readEntries, type ReadEntry } from './read.ts';

const seqOf = ({ entry }: ReadEntry) => entry?.seq;

test('reads all entries, and the last ones, over files', async () => {
  await using directory = await temporaryDirectory();
  await writeLog(
    directory.path,
    Array.from({ length: 12 }, (_, index) => refusalOf(index)),
    { maxFileBytes: 700 },
  );
  const all = await Array.fromAsync(readEntries(directory.path));
  expect(all.map(seqOf)).toEqual(all.map((_, index) => index + 1));
  expect(new Set(all.map(({ file }) => file)).size).toBeGreaterThan(3);
  for (const count of [0, 1, 7, 1000]) {
    const { entries } = await lastEntries(directory.path, { count });
    expect(entries).toEqual(count === 0 ? [] : all.slice(-count));
  }
});

test('follows what is written, from file to file', async () => {
  await using directory = await temporaryDirectory();
  await using log = await openLog(directory.path, { maxFileBytes: 500 });
  const { entries, end } = await lastEntries(directory.path, { count: 1 });
  const stop = new AbortController();
  const followed: ReadEntry[] = [];
  const following = (async () => {
    for await (const entry of followEntries(directory.path, { from: end, signal: stop.signal })) {
      followed.push(entry);
      if (entry.text.includes('192.0.2.9/')) stop.abort();
    }
  })();
  const writing = (async () => {
    for (let number = 0; number < 10; number += 1) await log.append(refusalOf(number));
  })();
  await expect(following).rejects.toThrow(/abort|cancelled/);
  await writing;
  const first = entries.map(seqOf)[0] ?? 0;
  expect(followed.map(seqOf)).toEqual(followed.map((_, index) => first + 1 + index));
  expect(new Set(followed.map(({ file }) => file)).size).toBeGreaterThan(2);
});

test('leaves out an entry that is not whole, and marks one that was changed', async () => {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, [refusalOf(1)]);
  await appendFile(join(directory.path, '000001.jsonl'), 'nonsense\n{"seq":');
  const { entries } = await lastEntries(directory.path, { count: 2 });
  expect(entries.map(({ entry, text }) => entry?.type ?? text)).toEqual(['checkpoint', 'nonsense']);
});

test('says that there is no log where there is none', async () => {
  await using directory = await temporaryDirectory();
  await expect(lastEntries(directory.path, { count: 1 })).rejects.toMatchObject({ code: 'not-found' });
});
