import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { silentLogger } from '@skein/protocol';
import { expect, test } from 'vitest';

import { storeFixture } from './test-support/store-fixture.ts';

function recorder() {
  const warnings: object[] = [];
  return { warnings, logger: { ...silentLogger, warn: (fields: object) => void warnings.push(fields) } };
}

test('loses no damaged file of names, and finds models by what else they are called', async () => {
  const { warnings, logger } = recorder();
  await using fixture = await storeFixture({ logger });
  const { store, file, sha256, partial } = fixture;
  const held = await store.pull(file);
  const names = join(dirname(partial('')), 'names.json');
  await writeFile(names, '{"mine": "cut in the mid');
  const again = await fixture.openAgain();
  expect(await again.find(sha256)).toEqual(held);
  expect(await again.find('tiny')).toEqual(held);
  expect(warnings).toEqual([{ path: names, reason: 'it is not JSON' }]);
  await again.pull(file);
  const aside = (await fixture.files()).find((name) => name.startsWith('names.json.damaged-')) ?? '';
  expect(await readFile(join(dirname(names), aside), 'utf8')).toBe('{"mine": "cut in the mid');
  expect(JSON.parse(await readFile(names, 'utf8'))).toMatchObject({ tiny: sha256 });
});

test('does not replace names that it can not read', async () => {
  await using fixture = await storeFixture();
  const names = join(dirname(fixture.partial('')), 'names.json');
  await mkdir(names);
  await expect(fixture.store.pull(fixture.file)).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringContaining(names) as string,
  });
  await rm(names, { recursive: true });
  expect(await fixture.store.pull(fixture.file)).toMatchObject({ model: fixture.sha256 });
});

test('a model that can not be read is not taken for missing, and hides no other', async () => {
  const { warnings, logger } = recorder();
  await using fixture = await storeFixture({ logger });
  const { store, file, sha256, partial } = fixture;
  await store.pull(file);
  const manifest = join(dirname(partial('')), `${sha256}.manifest`);
  await rename(manifest, `${manifest}.away`);
  await mkdir(manifest);
  const again = await fixture.openAgain();
  await expect(again.find(sha256)).rejects.toMatchObject({ code: 'disk-failed' });
  expect(await again.list()).toEqual([]);
  expect(await again.list()).toEqual([]);
  expect(warnings).toEqual([{ model: sha256, reason: `${manifest} is not a file that Skein wrote; move it away` }]);
  await rm(manifest, { recursive: true });
  await rename(`${manifest}.away`, manifest);
  expect(await again.list()).toHaveLength(1);
});
