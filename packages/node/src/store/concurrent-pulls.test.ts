import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { startFileServer } from '../sources/test-support/file-server.ts';
import { catalogReference, fromServer, storeFixture } from './test-support/store-fixture.ts';

test('downloads once when several pull the same model at the same time', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0) });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  server.behaviour.content = fixture.content;
  const stores = [fixture.store, fixture.store, await fixture.openAgain()];
  const model = catalogReference(fixture.content, [fromServer]);
  const held = await Promise.all(stores.map((store) => store.pull(model)));
  expect(new Set(held.map(({ model }) => model))).toEqual(new Set([fixture.sha256]));
  expect(server.ranges).toHaveLength(1);
});

test('leaves others undisturbed when one of them gives up', async () => {
  await using server = await startFileServer({ content: new Uint8Array(0), stallsAfterBytes: 1000 });
  await using fixture = await storeFixture({ endpoint: server.endpoint });
  server.behaviour.content = fixture.content;
  const model = catalogReference(fixture.content, [fromServer]);
  const controller = new AbortController();
  const started = Promise.withResolvers<void>();
  const onProgress = ({ doneBytes }: { doneBytes: number }) => void (doneBytes > 0 && started.resolve());
  const first = fixture.store.pull(model, { signal: controller.signal, onProgress });
  await started.promise;
  const second = fixture.store.pull(model);
  delete server.behaviour.stallsAfterBytes;
  controller.abort();
  await expect(first).rejects.toMatchObject({ code: 'aborted' });
  expect(await second).toMatchObject({ model: fixture.sha256 });
});

test('downloads once when two processes pull the same model', async () => {
  await using fixture = await storeFixture();
  const script = `
    const { openStore } = await import(${JSON.stringify(new URL('model-store.ts', import.meta.url).href)});
    const store = await openStore(process.argv[1]);
    process.stdout.write((await store.pull(process.argv[2])).model);
  `;
  const data = `${fixture.file}-data`;
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, data, fixture.file]);
  const outputs = await Promise.all([run(), run()]);
  expect(outputs.map(({ stdout }) => stdout)).toEqual([fixture.sha256, fixture.sha256]);
});

test('says that it waits for another process, be it dead or alive', async () => {
  await using fixture = await storeFixture();
  const { content, file, sha256, store } = fixture;
  const model = catalogReference(content, [{ kind: 'local-file', path: file }]);
  // The lock of a process that was killed a moment ago, or still works.
  const lock = join(dirname(fixture.partial(sha256)), `${sha256}.lock`);
  await mkdir(lock);
  const phases = new Set<string>();
  const onProgress = ({ phase }: { phase: string }) => {
    phases.add(phase);
    if (phase === 'wait') rmSync(lock, { recursive: true, force: true });
  };
  await store.pull(model, { onProgress });
  expect([...phases]).toEqual(['wait', 'copy', 'verify']);
});
