import { link, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { storeFixture } from './test-support/store-fixture.ts';

/** Opens a store beside a file that is named by its hash, as Ollama's are. */
async function blobFixture() {
  const fixture = await storeFixture();
  const blob = join(dirname(fixture.file), `sha256-${fixture.sha256}`);
  await rename(fixture.file, blob);
  const file = join(dirname(blob), 'linked.gguf');
  await symlink(blob, file);
  return { ...fixture, blob, file };
}

test('shares a file that is named by its hash with the program that holds it', async () => {
  await using fixture = await blobFixture();
  const { store, blob, file, sha256, content } = fixture;
  expect(await store.pull(file)).toMatchObject({ model: sha256, name: 'linked' });
  const path = await store.path(sha256);
  expect((await stat(path)).ino).toBe((await stat(blob)).ino);
  await rm(blob);
  expect(await readFile(path)).toEqual(content);
});

test('shares no other file, unless its owner says that nobody writes to it', async () => {
  await using fixture = await storeFixture();
  const { store, file, sha256 } = fixture;
  await store.pull(file);
  expect((await stat(await store.path(sha256))).nlink).toBe(1);
  await using other = await storeFixture();
  await other.store.pull({ kind: 'local-file', path: other.file, isFinal: true });
  expect((await stat(await other.store.path(other.sha256))).ino).toBe((await stat(other.file)).ino);
});

test('takes no file that is not what its name says, and leaves it as it is', async () => {
  await using fixture = await blobFixture();
  const { store, blob, file, sha256, content } = fixture;
  content[content.byteLength - 40] = (content.at(-40) ?? 0) ^ 1;
  await writeFile(blob, content);
  await expect(store.pull(file)).rejects.toMatchObject({ code: 'hash-mismatch', details: { expected: sha256 } });
  expect(await fixture.files()).toEqual([]);
  expect(await readFile(blob)).toEqual(content);
});

test('writes nothing to a file that is somebody else’s, too', async () => {
  await using fixture = await storeFixture();
  const { store, file, sha256 } = fixture;
  const theirs = join(dirname(file), 'theirs');
  await writeFile(theirs, 'short');
  // As a pull leaves it that was killed between its link and its end.
  await store.pull(file);
  const path = await store.path(sha256);
  const identity = { kind: 'local-file', path } as const;
  await link(theirs, fixture.partial(sha256));
  await rename(path, join(dirname(file), `sha256-${sha256}`));
  await store.pull({ ...identity, path: join(dirname(file), `sha256-${sha256}`) });
  expect(await readFile(theirs, 'utf8')).toBe('short');
});
