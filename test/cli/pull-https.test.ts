import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeCertificate, type Certificate } from '../../packages/node/src/sources/test-support/certificate.ts';
import { startFileServer, type FileServer } from '../../packages/node/src/sources/test-support/file-server.ts';
import { temporaryDirectory } from '../../packages/node/src/sources/test-support/temporary-directory.ts';
import { startTunnelProxy } from '../../packages/node/src/sources/test-support/tunnel-proxy.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { runSkein } from '../../scripts/quickstart/skein-command.ts';

/**
 * Pulls over HTTPS, by the command in a process of its own, since Node reads the certificates to trust when it starts. No
 * name is asked for: the proxy knows where `models.example` is, and 127.0.0.2 is no address that proxies are kept from.
 */
const token = 'hf_verysecret';
const reference = 'hf:owner/model/tiny.gguf';
const signal = AbortSignal.timeout(170_000);
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let certificate: Certificate | undefined;
let model: Buffer;
let sha256: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  certificate = await makeCertificate(directory.path, ['DNS:models.example', 'DNS:storage.example', 'IP:127.0.0.2']);
  await using file = await tinyModelFile();
  model = await readFile(file.path);
  sha256 = createHash('sha256').update(model).digest('hex');
});

afterAll(async () => {
  await directory[Symbol.asyncDispose]();
});

/** Pulls into a new data directory, with these variables and no others that concern the network. */
async function pull(name: string, variables: Readonly<Record<string, string>>): Promise<unknown> {
  const inherited = Object.entries(process.env).filter(([name]) => !/proxy|^HF_|^NODE_EXTRA/i.test(name));
  const env = { ...Object.fromEntries(inherited), ...variables };
  const machine = {
    name,
    data: join(directory.path, name),
    run: (command: string, args: readonly string[]) => spawn(command, args, { env }),
  };
  return await runSkein(['pull', reference], { machine, signal });
}

function portOf({ endpoint }: FileServer, host = '127.0.0.1') {
  return { host, port: Number(new URL(endpoint).port) };
}

test('through a proxy goes each byte encrypted, and the token to the server with the repositories alone', async ({
  skip,
}) => {
  if (certificate === undefined) return skip('there is no openssl');
  await using storage = await startFileServer({ content: model }, { certificate });
  const redirect = 'https://storage.example/somewhere/tiny.gguf';
  await using server = await startFileServer({ content: model, redirect, token }, { certificate });
  const ports = { 'models.example:443': portOf(server), 'storage.example:443': portOf(storage) };
  await using proxy = await startTunnelProxy({ ports, password: 'hunter2' });
  const held = await pull('proxied', {
    HF_ENDPOINT: 'https://models.example',
    HF_TOKEN: token,
    HTTPS_PROXY: `http://user:hunter2@127.0.0.1:${proxy.port}`,
    NODE_EXTRA_CA_CERTS: certificate.file,
  });
  expect(held).toMatchObject({ model: sha256 });
  expect(new Set(proxy.tunnels.map(({ target }) => target))).toEqual(new Set(Object.keys(ports)));
  expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${token}`]));
  expect(new Set(storage.requests.map(({ authorization }) => authorization))).toEqual(new Set([undefined]));
  expect(proxy.sent()).not.toMatch(new RegExp(`${token}|owner/model`));
  expect(proxy.sent()).not.toContain(Buffer.from(token).toString('base64'));
  return undefined;
});

test('a host that NO_PROXY names is asked directly', async ({ skip }) => {
  if (certificate === undefined) return skip('there is no openssl');
  if (process.platform !== 'linux') return skip('127.0.0.2 is no address here');
  await using server = await startFileServer({ content: model }, { certificate, host: '127.0.0.2' });
  const { host } = new URL(server.endpoint);
  await using proxy = await startTunnelProxy({ ports: { [host]: portOf(server, '127.0.0.2') } });
  const variables = {
    HF_ENDPOINT: server.endpoint,
    HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
    NODE_EXTRA_CA_CERTS: certificate.file,
  };
  expect(await pull('direct', { ...variables, NO_PROXY: 'other.example,127.0.0.2' })).toMatchObject({ model: sha256 });
  expect(proxy.tunnels).toEqual([]);
  expect(await pull('not exempt', { ...variables, NO_PROXY: 'other.example' })).toMatchObject({ model: sha256 });
  expect(proxy.tunnels).toContainEqual({ target: host, credentials: undefined });
  return undefined;
});

test('a certificate that nobody vouches for is refused, with the fix', async ({ skip }) => {
  if (certificate === undefined) return skip('there is no openssl');
  await using server = await startFileServer({ content: model, token }, { certificate });
  const refused = pull('unknown', { HF_ENDPOINT: server.endpoint, HF_TOKEN: token });
  await expect(refused).rejects.toThrow(/certificate.*NODE_EXTRA_CA_CERTS/);
  expect(server.requests).toEqual([]);
  return undefined;
});

test('a proxy that refuses is named, with what it said and without its password', async ({ skip }) => {
  if (certificate === undefined) return skip('there is no openssl');
  await using proxy = await startTunnelProxy({ ports: {}, password: 'hunter2' });
  const through = (password: string) => ({
    HF_ENDPOINT: 'https://models.example',
    HF_TOKEN: token,
    HTTPS_PROXY: `http://user:${password}@127.0.0.1:${proxy.port}`,
  });
  const stranger = pull('stranger', through('wrong'));
  await expect(stranger).rejects.toThrow(/the proxy wants other credentials.*HTTPS_PROXY/);
  await expect(stranger).rejects.not.toThrow(/wrong@|user:/);
  await expect(pull('nowhere', through('hunter2'))).rejects.toThrow(/the proxy refuses the way.*502/);
  expect(proxy.sent()).not.toContain(token);
  return undefined;
});
