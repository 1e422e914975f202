import { createHash } from 'node:crypto';

import { expect, test } from 'vitest';

import { startFileServer } from '../sources/test-support/file-server.ts';
import { storeFixture } from './test-support/store-fixture.ts';

const commit = 'c'.repeat(40);
const list = {
  sha: commit,
  siblings: ['tiny-Q8_0.gguf', 'tiny-F16.gguf', 'README.md'].map((rfilename) => ({ rfilename })),
};

async function repositoryFixture() {
  const server = await startFileServer({ content: new Uint8Array(0), list });
  const fixture = await storeFixture({ endpoint: server.endpoint });
  const sha256 = createHash('sha256').update(fixture.content).digest('hex');
  server.behaviour.files = { 'tiny-Q8_0.gguf': { content: fixture.content, sha256 } };
  return {
    ...fixture,
    server,
    sources: { endpoint: server.endpoint },
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('pulls the file that a quantization stands for, of the commit at which the branch is', async () => {
  await using fixture = await repositoryFixture();
  const { store, server, sources, sha256 } = fixture;
  const held = await store.pull('owner/tiny-GGUF:q8_0@v1', { sources });
  expect(held).toMatchObject({ model: sha256, name: 'tiny-Q8_0' });
  const [first, second] = server.requests;
  expect(first?.url).toBe('/api/models/owner/tiny-GGUF/revision/v1');
  expect(second?.url).toBe(`/owner/tiny-GGUF/resolve/${commit}/tiny-Q8_0.gguf`);
  const aliases = ['hf:owner/tiny-gguf:q8_0@v1', 'hf:owner/tiny-gguf/tiny-q8_0.gguf@v1'];
  expect(await store.list()).toEqual([{ ...held, aliases }]);
});

test('gives what was pulled before while the repository is out of reach', async () => {
  await using fixture = await repositoryFixture();
  const { store, server, sources } = fixture;
  const held = await store.pull('owner/tiny-GGUF:Q8_0', { sources });
  server.behaviour.status = 503;
  expect(await store.pull('hf:owner/tiny-GGUF:Q8_0', { sources })).toMatchObject({ model: held.model });
  await expect(store.pull('owner/tiny-GGUF:F16', { sources })).rejects.toMatchObject({ code: 'model-unreachable' });
});

test('says which models there are, and downloads nothing', async () => {
  await using fixture = await repositoryFixture();
  const { store, server, sources } = fixture;
  for (const reference of ['owner/tiny-GGUF', 'owner/tiny-GGUF:Q4_K_M']) {
    await expect(store.pull(reference, { sources })).rejects.toMatchObject({
      code: 'model-not-found',
      message: /it has tiny-F16\.gguf, tiny-Q8_0\.gguf; name one/,
    });
  }
  expect(server.ranges).toEqual([]);
  expect(await fixture.files()).toEqual([]);
});

test.each([
  ['a text', 'sign in, please'],
  ['no list', { siblings: 'all' }],
  ['a path out of the repository', { siblings: [{ rfilename: 'a/../../b-Q8_0.gguf' }] }],
  ['more than can be kept', { siblings: [{ rfilename: 'x' }], padding: 'x'.repeat(17 * 1024 * 1024) }],
])('refuses a list that is %s', async (_, list) => {
  await using fixture = await repositoryFixture();
  fixture.server.behaviour.list = list;
  const pulling = fixture.store.pull('owner/tiny-GGUF:Q8_0', { sources: fixture.sources });
  await expect(pulling).rejects.toMatchObject({ code: expect.stringMatching(/^model-(?:unreachable|not-found)$/) });
  expect(fixture.server.ranges).toEqual([]);
});
