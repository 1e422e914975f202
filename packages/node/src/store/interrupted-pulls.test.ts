import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { startFileServer } from '../sources/test-support/file-server.ts';
import { catalogReference, fromServer, storeFixture } from './test-support/store-fixture.ts';

test('frees what interrupted pulls left, and lets one that is under way go on', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0), stallsAfterBytes: 100_000 });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  const { store, content, sha256 } = fixture;
  server.behaviour.content = content;
  const left = 'a'.repeat(64);
  await writeFile(fixture.partial(left), randomBytes(50_000));
  const controller = new AbortController();
  const started = Promise.withResolvers<void>();
  const pulling = store.pull(catalogReference(content, [fromServer]), {
    signal: controller.signal,
    onProgress: ({ doneBytes }) => void (doneBytes > 0 && started.resolve()),
  });
  await started.promise;

  const before = await store.unfinishedBytes();
  expect(before).toBeGreaterThan(50_000);
  const { freedBytes } = await store.removeInterruptedPulls();
  expect(freedBytes).toBeGreaterThanOrEqual(50_000);
  expect(freedBytes).toBeLessThan(before);
  expect(await fixture.files()).toEqual([`${sha256}.lock`, `${sha256}.partial`, `${sha256}.scratch`]);

  controller.abort();
  await expect(pulling).rejects.toMatchObject({ code: 'aborted' });
  await store.removeInterruptedPulls();
  expect(await fixture.files()).toEqual([]);
  expect(await store.unfinishedBytes()).toBe(0);
});
