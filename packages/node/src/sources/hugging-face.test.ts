import { createHash, randomBytes } from 'node:crypto';

import { expect, test } from 'vitest';

import { huggingFaceSource, type HuggingFaceOptions } from './hugging-face.ts';
import { startFileServer, type FileServer } from './test-support/file-server.ts';
import { readOffer } from './test-support/read-offer.ts';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');

function source(server: Pick<FileServer, 'endpoint'>, options: HuggingFaceOptions = {}) {
  const spec = { kind: 'hugging-face', repository: 'owner/model', revision: 'main', file: 'sub/model.gguf' } as const;
  return huggingFaceSource(spec, { endpoint: server.endpoint, retryDelayMs: 0, ...options });
}

test('takes size and hash from the redirect to the storage', async () => {
  await using server = await startFileServer({ content, linkedSha256: sha256 });
  const offer = await source(server).open({ signal: new AbortController().signal });
  expect(offer).toMatchObject({ bytes: content.byteLength, sha256 });
  expect(await readOffer(source(server))).toEqual(content);
});

test('starts at the byte that is asked for', async () => {
  await using server = await startFileServer({ content });
  expect(await readOffer(source(server), { offset: 123_456 })).toEqual(content.subarray(123_456));
  expect(server.ranges).toEqual(['bytes=123456-']);
});

test('passes over what is there already when the server knows no ranges', async () => {
  await using server = await startFileServer({ content, ignoresRanges: true });
  expect(await readOffer(source(server), { offset: 123_456 })).toEqual(content.subarray(123_456));
});

test('goes on where a connection was cut', async () => {
  await using server = await startFileServer({ content, cutsAfterBytes: 100_000 });
  expect(await readOffer(source(server))).toEqual(content);
  expect(server.ranges.length).toBeGreaterThan(2);
});

test('gives up when connections bring nothing', async () => {
  await using server = await startFileServer({ content, cutsAfterBytes: 0 });
  await expect(readOffer(source(server))).rejects.toMatchObject({ code: 'model-unreachable' });
  expect(server.ranges).toHaveLength(3);
});

test('gives up on a server that stalls', async () => {
  await using server = await startFileServer({ content, stallsAfterBytes: 0 });
  const reading = readOffer(source(server, { idleTimeoutMs: 50 }));
  await expect(reading).rejects.toMatchObject({ code: 'deadline-exceeded' });
});

test.each([
  [404, 'model-not-found'],
  [401, 'model-not-found'],
  [503, 'model-unreachable'],
])('explains status %i', async (status, code) => {
  await using server = await startFileServer({ content, status });
  await expect(readOffer(source(server))).rejects.toMatchObject({ code });
});

test('follows no redirect to another protocol and none in circles', async () => {
  await using server = await startFileServer({ content, redirect: 'ftp://127.0.0.1/model.gguf' });
  await expect(readOffer(source(server))).rejects.toThrow(/redirects to ftp:/);
  server.behaviour.redirect = '/again';
  await expect(readOffer(source(server))).rejects.toThrow(/more than 5 times/);
});

test('says that a server cannot be reached', async () => {
  const server = await startFileServer({ content });
  await server[Symbol.asyncDispose]();
  await expect(readOffer(source(server))).rejects.toMatchObject({ code: 'model-unreachable', message: /ECONNREFUSED/ });
});

test('stops when it is aborted', async () => {
  await using server = await startFileServer({ content, stallsAfterBytes: 1000 });
  const controller = new AbortController();
  const offer = await source(server).open({ signal: controller.signal });
  const reading = (async () => {
    const chunks = offer.read({
      offset: 0,
      end: offer.bytes,
      scratchDirectory: '',
      onArrived: () => {},
      signal: controller.signal,
    });
    for await (const chunk of chunks) if (chunk.byteLength > 0) controller.abort();
  })();
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
});
