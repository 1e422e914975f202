import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { peerIdOf } from '../testing/fixtures.ts';
import { auditKey, readLog, refusalOf, requestEvent, temporaryDirectory, writeLog } from '../testing/audit-fixture.ts';
import type { AuditLogOptions } from './audit-log.ts';
import { noHash } from './entry.ts';
import type { AuditEvent } from './events.ts';
import type { Place } from './lines.ts';
import { verifyAuditLog } from './verify.ts';

/** A log as bytes, to be changed and laid out elsewhere. */
interface Content {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly head: Buffer;
}

const event: fc.Arbitrary<AuditEvent> = fc.oneof(
  fc.constant<AuditEvent>({ type: 'stopped' }),
  fc.constant<AuditEvent>({ type: 'started', peer: peerIdOf(1), url: 'http://127.0.0.1:7331' }),
  fc.record({
    type: fc.constant('refusal' as const),
    reason: fc.constantFrom('not-a-member', 'expired'),
    name: fc.string({ unit: 'grapheme', maxLength: 10 }),
    count: fc.integer({ min: 1, max: 1000 }),
  }),
  fc.nat(1_000_000).map((durationMs): AuditEvent => ({ ...requestEvent, durationMs })),
);

const log = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 12 }),
  maxFileBytes: fc.constantFrom(400, 1000, 100_000),
  checkpointEntries: fc.constantFrom(2, 5, 100),
});

async function contentOf({
  events,
  ...options
}: Partial<AuditLogOptions> & { readonly events: readonly AuditEvent[] }): Promise<Content> {
  await using directory = await temporaryDirectory();
  await writeLog(directory.path, events, options);
  return { files: await readLog(directory.path), head: await readFile(join(directory.path, 'head.json')) };
}

async function verifyContent({ files, head }: Content) {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, 'head.json'), head);
  for (const [name, content] of files) await writeFile(join(directory.path, name), content);
  return await verifyAuditLog(directory.path, { key: createPublicKey(auditKey) });
}

/** All lines with their ends, in order, and where they are. */
function linesOf(files: ReadonlyMap<string, Buffer>): (Place & { readonly text: string })[] {
  return [...files].flatMap(([file, content]) => {
    let offset = 0;
    return content
      .toString('latin1')
      .split(/(?<=\n)/)
      .filter((text) => text !== '')
      .map((text, index) => {
        const place = { file, line: index + 1, offset, text };
        offset += text.length;
        return place;
      });
  });
}

/** Returns the first difference between a changed log and the original: a line, or the end where one is missing there. */
function firstDifference(before: Content, after: Content): Place {
  const [were, are] = [linesOf(before.files), linesOf(after.files)];
  const different = are.find(({ text }, index) => text !== were[index]?.text);
  if (different !== undefined) return { file: different.file, line: different.line, offset: different.offset };
  const [file = '000001.jsonl', content = Buffer.alloc(0)] = [...after.files].at(-1) ?? [];
  return { file, line: are.filter((line) => line.file === file).length + 1, offset: content.byteLength };
}

/** A way to change a log: at which places, between 0 and 1, and which bits of a byte. */
type Change = (content: Content, at: readonly [number, number], bits: number) => Content;

function pick(length: number, at: number): number {
  return Math.min(length - 1, Math.floor(at * length));
}

/** Puts lines back into the files that they are said to be in. */
function withLines(
  { files, head }: Content,
  lines: readonly { readonly file: string; readonly text: string }[],
): Content {
  const texts = Map.groupBy(lines, ({ file }) => file);
  return {
    head,
    files: new Map(
      [...files.keys()].map((name) => [
        name,
        Buffer.from((texts.get(name) ?? []).map(({ text }) => text).join(''), 'latin1'),
      ]),
    ),
  };
}

const changes: Record<string, Change> = {
  'a changed byte': ({ files, head }, [at], bits) => {
    const sizes = [...files.values()].map(({ byteLength }) => byteLength);
    let index = pick(
      sizes.reduce((sum, size) => sum + size, 0),
      at,
    );
    const changed = new Map([...files].map(([name, content]) => [name, Buffer.from(content)]));
    for (const content of changed.values()) {
      if (index >= 0 && index < content.byteLength) {
        content[index] = (content[index] ?? 0) ^ bits;
      }
      index -= content.byteLength;
    }
    return { files: changed, head };
  },
  'a deleted line': (content, [at]) => {
    const lines = linesOf(content.files);
    return withLines(content, lines.toSpliced(pick(lines.length, at), 1));
  },
  'several deleted lines': (content, [at, to]) => {
    const lines = linesOf(content.files);
    const first = pick(lines.length, at);
    return withLines(content, lines.toSpliced(first, 1 + pick(lines.length - first, to)));
  },
  'two lines in each other’s place': (content, [one, other]) => {
    const lines = linesOf(content.files);
    const first = pick(lines.length, one);
    const second = (first + 1 + pick(lines.length - 1, other)) % lines.length;
    const swapped = lines.map(({ file, text }, index) => {
      const source = index === first ? second : index === second ? first : index;
      return { file, text: lines[source]?.text ?? text };
    });
    return withLines(content, swapped);
  },
  'a line that is there twice': (content, [one, other]) => {
    const lines = linesOf(content.files);
    const place = pick(lines.length, other);
    const copy = { file: lines[place]?.file ?? '', text: lines[pick(lines.length, one)]?.text ?? '' };
    const copied = [...lines.slice(0, place + 1), copy, ...lines.slice(place + 1)];
    return withLines(content, copied);
  },
  'an end that is cut off': ({ files, head }, [at, keepsEmpty]) => {
    const bytes = [...files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    let left = pick(bytes, at);
    const cut = new Map<string, Buffer>();
    for (const [name, content] of files) {
      if (left > 0 || keepsEmpty < 0.5) cut.set(name, content.subarray(0, Math.max(0, left)));
      left -= content.byteLength;
    }
    return { files: cut, head };
  },
  'a missing file': ({ files, head }, [at]) => {
    const names = [...files.keys()];
    const missing = names[pick(names.length, at)];
    return { files: new Map([...files].filter(([name]) => name !== missing)), head };
  },
};

test.each(Object.entries(changes))(
  'finds %s, and where it is',
  async (_, change) => {
    await fc.assert(
      fc.asyncProperty(
        log,
        fc.tuple(fraction(), fraction()),
        fc.integer({ min: 1, max: 255 }),
        async (what, at, bits) => {
          const before = await contentOf(what);
          expect((await verifyContent(before)).problems).toEqual([]);
          const after = change(before, at, bits);
          const { ok, problems } = await verifyContent(after);
          expect([ok, problems[0]]).toEqual([false, expect.objectContaining(firstDifference(before, after))]);
        },
      ),
      { numRuns: 40 },
    );
  },
  60_000,
);

function fraction(): fc.Arbitrary<number> {
  return fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
}

test('finds a changed byte of the head', async () => {
  const content = await contentOf({ events: [refusalOf(1)] });
  for (let index = 0; index < content.head.byteLength; index += 1) {
    const head = Buffer.from(content.head);
    head[index] = (head[index] ?? 0) ^ 1;
    const { ok, problems } = await verifyContent({ ...content, head });
    expect([ok, problems[0]?.file]).toEqual([false, 'head.json']);
  }
}, 30_000);

test('finds that two logs of one coordinator were put together', async () => {
  const [one, other] = [
    await contentOf({ events: [1, 2, 3, 4].map(refusalOf), now: () => 1 }),
    await contentOf({ events: [5, 6, 7, 8].map(refusalOf), now: () => 2 }),
  ];
  const [first, second] = [linesOf(one.files), linesOf(other.files)];
  for (let from = 1; from < first.length; from += 1) {
    for (let to = 0; to < second.length; to += 1) {
      const lines = [...first.slice(0, from), ...second.slice(to)];
      const { ok, problems } = await verifyContent(withLines(other, lines));
      expect([ok, problems[0]?.line]).toEqual([false, from + 1]);
    }
  }
}, 30_000);

/** Does what somebody can who knows the format and not the key: changes an entry and computes all hashes anew. */
function forge(content: Content, change: (entry: Record<string, unknown>) => void): Content {
  let previous = noHash;
  const lines = linesOf(content.files).map(({ file, text }) => {
    const { hash: _, ...entry } = JSON.parse(Buffer.from(text, 'latin1').toString()) as Record<string, unknown>;
    change(entry);
    const open = JSON.stringify({ ...entry, previous }).slice(0, -1);
    previous = createHash('sha256').update(open).digest('hex');
    return { file, text: `${open},"hash":"${previous}"}\n` };
  });
  return withLines(content, lines);
}

test('finds what was made anew, between two signatures', async () => {
  const events = Array.from({ length: 10 }, (_, index) => refusalOf(index));
  const content = await contentOf({ events, checkpointEntries: 4 });
  const forged = forge(content, (entry) => {
    if (entry['address'] === '/ip4/192.0.2.5/tcp/7330') entry['address'] = '/ip4/192.0.2.200/tcp/7330';
  });
  const { ok, problems } = await verifyContent(forged);
  expect(ok).toBe(false);
  // The address is in entry 8; entry 5 and entry 10 are the checkpoints around it.
  expect(problems[0]).toMatchObject({ kind: 'rewritten', line: 10 });
  expect(problems[0]?.message).toContain('entries 6 to 10');
});

test('finds what was made anew behind the last signature in the log by the head', async () => {
  const content = await contentOf({ events: [refusalOf(1), refusalOf(2)] });
  const withoutCheckpoint = withLines(content, linesOf(content.files).slice(0, -1));
  const cut = forge(withoutCheckpoint, () => undefined);
  expect((await verifyContent(cut)).problems[0]).toMatchObject({ kind: 'cut', line: 4 });
  const padded = withLines(content, [...linesOf(cut.files), { file: '000001.jsonl', text: forgedEnd(cut) }]);
  expect((await verifyContent(padded)).problems[0]).toMatchObject({ kind: 'rewritten', line: 4 });
});

/** One more entry that follows the last one. */
function forgedEnd(content: Content): string {
  const lines = linesOf(content.files);
  const { seq, hash: previous } = JSON.parse(lines.at(-1)?.text ?? '') as { seq: number; hash: string };
  const open = JSON.stringify({ seq: seq + 1, time: '2026-01-01T00:00:00.000Z', type: 'stopped', previous }).slice(
    0,
    -1,
  );
  return `${open},"hash":"${createHash('sha256').update(open).digest('hex')}"}\n`;
}

test('tells a log that somebody else has signed', async () => {
  await using directory = await temporaryDirectory();
  const { privateKey: key, publicKey } = generateKeyPairSync('ed25519');
  await writeLog(directory.path, [refusalOf(1)], { key });
  expect(await verifyAuditLog(directory.path, { key: publicKey })).toMatchObject({ ok: true, isKnownKey: true });
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, isKnownKey: false });
  const { ok, problems } = await verifyAuditLog(directory.path, { key: createPublicKey(auditKey) });
  expect([ok, problems[0]]).toEqual([false, expect.objectContaining({ kind: 'signer', line: 1 })]);
});

test('finds that the head is gone', async () => {
  await using directory = await temporaryDirectory();
  const { files } = await contentOf({ events: [refusalOf(1)] });
  for (const [name, content] of files) await writeFile(join(directory.path, name), content);
  expect((await verifyAuditLog(directory.path)).problems).toMatchObject([{ kind: 'head', file: 'head.json' }]);
});

test('takes a line without end for what it is, and holds no more of it than an entry can be', async () => {
  const content = await contentOf({ events: [refusalOf(1)] });
  const endless = Buffer.alloc(20 * 1024 * 1024, 'x');
  const files = new Map([['000001.jsonl', Buffer.concat([endless, ...content.files.values()])]]);
  expect((await verifyContent({ ...content, files })).problems[0]).toMatchObject({
    kind: 'changed',
    line: 1,
    offset: 0,
  });
});

test('says that there is no log where there is none', async () => {
  await using directory = await temporaryDirectory();
  await mkdir(join(directory.path, 'empty'));
  for (const name of ['empty', 'missing']) {
    await expect(verifyAuditLog(join(directory.path, name))).rejects.toMatchObject({ code: 'not-found' });
  }
});
