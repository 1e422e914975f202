import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { expect, test } from 'vitest';

import { isLocal } from './local-hosts.ts';
import { RepositoryServer } from './repository-server.ts';
import { readSourceSettings } from './source-settings.ts';
import { temporaryDirectory } from './test-support/temporary-directory.ts';

test('reads what the environment says, and nothing of what it leaves empty', async () => {
  expect(await readSourceSettings({ HF_ENDPOINT: ' ', HF_TOKEN: '', HTTPS_PROXY: '' })).toEqual({ proxies: {} });
  const settings = await readSourceSettings({
    HF_ENDPOINT: 'https://mirror.example/hub/',
    HF_TOKEN: 'hf_secret\n',
    https_proxy: 'http://proxy.example:3128',
    NO_PROXY: 'localhost',
  });
  expect(settings.proxies).toEqual({ https_proxy: 'http://proxy.example:3128', NO_PROXY: 'localhost' });
  const server = new RepositoryServer(settings);
  const url = server.url(['owner', 'a b', 'refs/pr/1']);
  expect(url.href).toBe('https://mirror.example/hub/owner/a%20b/refs%2Fpr%2F1');
  expect(server.credentialsFor(url)).toEqual({ authorization: 'Bearer hf_secret' });
});

test('prints no token, however it is printed', async () => {
  const settings = await readSourceSettings({ HF_TOKEN: 'hf_secret' });
  const printed = [JSON.stringify(settings), inspect(settings, { depth: 9 }), `${settings.token?.toString()}`];
  expect(printed.join()).not.toContain('secret');
  expect(printed.join()).toContain('[redacted]');
  await expect(readSourceSettings({ HF_TOKEN: 'my secret' })).rejects.toMatchObject({
    code: 'invalid-request',
    message: 'HF_TOKEN is not an access token: it has to be one word',
  });
});

test('reads the token from a file that nobody else can read', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'token');
  await expect(readSourceSettings({}, { tokenFile: path })).rejects.toMatchObject({ code: 'invalid-request' });
  await writeFile(path, 'hf_from_file\nsomething else\n', { mode: 0o600 });
  const server = async (environment: Record<string, string>, tokenFile?: string) => {
    const here = new RepositoryServer(await readSourceSettings(environment, { tokenFile }));
    return here.credentialsFor(here.url(['owner']));
  };
  expect(await server({ HF_TOKEN_PATH: path })).toEqual({ authorization: 'Bearer hf_from_file' });
  expect(await server({ HF_TOKEN: 'hf_other', HF_TOKEN_PATH: path })).toEqual({ authorization: 'Bearer hf_other' });
  expect(await server({ HF_TOKEN: 'hf_other' }, path)).toEqual({ authorization: 'Bearer hf_from_file' });
  if (process.platform === 'win32') return;
  await chmod(path, 0o640);
  await expect(server({}, path)).rejects.toThrow(`${path} can be read by other users; run: chmod 600 ${path}`);
});

test.each([
  [{ HF_ENDPOINT: 'mirror.example' }, /HF_ENDPOINT is not the URL/],
  [{ HF_ENDPOINT: 'file:///etc/passwd' }, /HF_ENDPOINT is not the URL/],
  [{ HF_ENDPOINT: 'https://user:pass@mirror.example' }, /without user and password$/],
  [{ HF_ENDPOINT: 'http://mirror.example', HF_TOKEN: 'hf_x' }, /would go to mirror\.example unencrypted/],
  [{ HTTPS_PROXY: 'user:pass@proxy.example' }, /^HTTPS_PROXY is not the URL of a proxy, like http:\/\/proxy\.example/],
])('refuses %o', async (environment, message) => {
  const using = async () => new RepositoryServer(await readSourceSettings(environment));
  await expect(using()).rejects.toMatchObject({ code: 'invalid-request', message: expect.stringMatching(message) });
});

test.each([
  ['localhost', true],
  ['a.localhost', true],
  ['127.1.2.3', true],
  ['169.254.169.254', true],
  ['192.168.0.1', true],
  ['[::1]', true],
  ['[fe80::1]', true],
  ['[::ffff:7f00:1]', true],
  ['mirror.example', false],
  ['localhost.example', false],
  ['8.8.8.8', false],
  ['[2001:db8::1]', false],
])('knows whether %s is this machine or a private network', (host, expected) => {
  expect(isLocal(host)).toBe(expected);
});
