import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';

import { expect, test } from 'vitest';

import { AccessToken } from './access-token.ts';
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

/** A clock on which each look takes ten seconds. */
function slowClock(): () => number {
  let nowMs = 0;
  return () => (nowMs += 10_000);
}

test('gives up on a server of which a few bytes come now and then', async () => {
  await using server = await startFileServer({ content, drips: 1 });
  const reading = readOffer(source(server, { now: slowClock() }));
  await expect(reading).rejects.toMatchObject({
    code: 'deadline-exceeded',
    message: expect.stringMatching(/^127\.0\.0\.1 sent \d+ bytes in \d+ s, too few to ever end/) as string,
  });
  // New connections, each with a byte, are no way around it.
  await using cutting = await startFileServer({ content, cutsAfterBytes: 1 });
  await expect(readOffer(source(cutting, { now: slowClock() }))).rejects.toMatchObject({ code: 'deadline-exceeded' });
});

test('takes the time that a slow server needs, and counts none in which its bytes are only being used', async () => {
  await using server = await startFileServer({ content, drips: 30_000 });
  expect(await readOffer(source(server, { now: slowClock() }))).toEqual(content);
  let nowMs = 0;
  const offer = await source(server, { now: () => nowMs }).open({ signal: new AbortController().signal });
  const whole = { offset: 0, end: offer.bytes, scratchDirectory: '', onArrived: () => {} };
  let bytes = 0;
  for await (const chunk of offer.read({ ...whole, signal: new AbortController().signal })) {
    bytes += chunk.byteLength;
    nowMs += 3_600_000;
  }
  expect(bytes).toBe(content.byteLength);
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

test('fetches several ranges at once where the server sends them, and asks the storage itself for the next', async () => {
  await using server = await startFileServer({ content, linkedSha256: sha256 });
  const options = { segmentBytes: 100_000, connections: 2 };
  expect(await readOffer(source(server, options), { offset: 50_000 })).toEqual(content.subarray(50_000));
  expect(server.ranges.toSorted()).toEqual(['bytes=150000-249999', 'bytes=250000-', 'bytes=50000-149999']);
  const redirected = server.requests.filter(({ method, url }) => method === 'GET' && !url.startsWith('/storage'));
  expect(redirected).toHaveLength(1);
});

test('goes on where several connections were cut', async () => {
  await using server = await startFileServer({ content, cutsAfterBytes: 30_000 });
  expect(await readOffer(source(server, { segmentBytes: 100_000, connections: 3 }))).toEqual(content);
});

test('takes all from one connection of a server that knows no ranges', async () => {
  await using server = await startFileServer({ content, ignoresRanges: true });
  expect(await readOffer(source(server, { segmentBytes: 100_000 }))).toEqual(content);
  expect(server.ranges).toHaveLength(2);
});

test('sends the access token to the server itself, and to no other that it redirects to', async () => {
  await using storage = await startFileServer({ content });
  await using server = await startFileServer({ content, token: 'hf_secret' });
  const token = new AccessToken('hf_secret', 'test');
  expect(await readOffer(source(server, { token }))).toEqual(content);
  server.behaviour.redirect = `${storage.endpoint}/storage`;
  expect(await readOffer(source(server, { token }))).toEqual(content);
  const sent = (to: FileServer) => new Set(to.requests.map(({ authorization }) => authorization));
  expect(sent(server)).toEqual(new Set(['Bearer hf_secret']));
  expect(sent(storage)).toEqual(new Set([undefined]));
});

test('says what helps where an access token is needed', async () => {
  await using server = await startFileServer({ content, token: 'hf_secret' });
  await expect(readOffer(source(server))).rejects.toMatchObject({
    code: 'model-not-found',
    message: /does not give the file \(status 401\); .*set HF_TOKEN to an access token/,
  });
  const token = new AccessToken('hf_wrong', 'test');
  const failed = readOffer(source(server, { token }));
  await expect(failed).rejects.toMatchObject({ message: /with the account of your access token/ });
  await expect(failed).rejects.not.toThrow(/hf_wrong/);
});

test('asks through the proxy that is named, but for hosts that need none', async () => {
  await using proxy = await startFileServer({ content });
  const proxies = { HTTP_PROXY: proxy.endpoint, NO_PROXY: 'other.example' };
  expect(await readOffer(source({ endpoint: 'http://models.example' }, { proxies }))).toEqual(content);
  const url = 'http://models.example/owner/model/resolve/main/sub/model.gguf';
  expect(new Set(proxy.requests.map(({ url }) => url))).toEqual(new Set([url]));
  const direct = source({ endpoint: 'http://other.example' }, { proxies });
  await expect(readOffer(direct)).rejects.toMatchObject({ code: 'model-unreachable' });
  expect(proxy.requests).toHaveLength(2);
});

test.each(['http://127.0.0.1:1/', 'http://localhost/', 'http://[::1]/', 'http://169.254.169.254/', 'http://0x7f.1/'])(
  'follows no redirect of a public server to %s',
  async (redirect) => {
    await using proxy = await startFileServer({ content, redirect });
    const reading = readOffer(
      source({ endpoint: 'http://models.example' }, { proxies: { HTTP_PROXY: proxy.endpoint } }),
    );
    await expect(reading).rejects.toThrow(/which is this machine or in a private network/);
  },
);

test('refuses headers without end', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'x-much': 'a'.repeat(1_000_000) }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const reading = readOffer(source({ endpoint: `http://127.0.0.1:${port}` }));
  await expect(reading).rejects.toMatchObject({ code: 'model-unreachable', message: /HPE_HEADER_OVERFLOW/ });
  server.closeAllConnections();
  server.close();
});

test('takes no bytes of two files, where no hash would tell', async () => {
  await using server = await startFileServer({ content });
  const { signal } = new AbortController();
  const offer = await source(server).open({ signal });
  server.behaviour.etag = '"second"';
  const reading = buffer(
    offer.read({ offset: 0, end: offer.bytes, scratchDirectory: '', onArrived: () => {}, signal }),
  );
  await expect(reading).rejects.toMatchObject({ code: 'model-invalid', message: /changed while it was downloaded/ });
});

test('keeps the access token and the proxy’s password out of errors', async () => {
  await using proxy = await startFileServer({ content });
  const proxies = { HTTPS_PROXY: proxy.endpoint.replace('//', '//user:hunter2@') };
  const token = new AccessToken('hf_secret', 'test');
  const failure = await readOffer(source({ endpoint: 'https://models.example' }, { proxies, token })).catch(String);
  const thrown = await readOffer(source({ endpoint: 'https://models.example' }, { proxies, token })).catch(
    (error: unknown) => inspect(error, { depth: 9, showHidden: true }),
  );
  expect(`${String(failure)}${String(thrown)}`).not.toMatch(/hunter2|hf_secret/);
  expect(failure).toMatch(/cannot download from models\.example/);
});

test('sends no token meant for this machine to a proxy', async () => {
  await using proxy = await startFileServer({ content });
  await using server = await startFileServer({ content, token: 'hf_secret' });
  const token = new AccessToken('hf_secret', 'test');
  expect(await readOffer(source(server, { token, proxies: { HTTP_PROXY: proxy.endpoint } }))).toEqual(content);
  expect(proxy.requests).toEqual([]);
});
