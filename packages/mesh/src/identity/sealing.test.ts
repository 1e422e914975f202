import { mkdtempDisposable, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { loadIdentity } from './identity.ts';
import { isSealed, seal, unseal } from './sealing.ts';

const bytes = new TextEncoder().encode('a key');

test('gives back what was sealed to whoever knows the passphrase', async () => {
  const sealed = await seal(bytes, 'four words for you');
  expect(isSealed(sealed)).toBe(true);
  expect(Buffer.from(sealed).includes('a key')).toBe(false);
  expect(await unseal(sealed, 'four words for you')).toEqual(bytes);
  await expect(unseal(sealed, 'four words for me')).rejects.toMatchObject({ code: 'invalid-request' });
});

test('notices every change of what was sealed', async () => {
  const sealed = JSON.parse(Buffer.from(await seal(bytes, 'x')).toString('utf8')) as Record<string, string>;
  for (const part of ['salt', 'nonce', 'tag', 'text']) {
    const changed = Buffer.from(sealed[part] ?? '', 'base64');
    changed[0] = (changed[0] ?? 0) ^ 1;
    const forged = Buffer.from(JSON.stringify({ ...sealed, [part]: changed.toString('base64') }));
    await expect(unseal(forged, 'x')).rejects.toMatchObject({ code: 'invalid-request' });
  }
});

test('does not work for a file that asks for endless work', async () => {
  const sealed = JSON.parse(Buffer.from(await seal(bytes, 'x')).toString('utf8')) as object;
  expect(isSealed(Buffer.from(JSON.stringify({ ...sealed, N: 2 ** 30 })))).toBe(false);
});

test('encrypts an identity that lay there in the clear, once a passphrase is set, and asks for it from then on', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-sealed-'));
  const { peerId } = await loadIdentity(root.path);
  const path = join(root.path, 'identity.key');
  const plain = await readFile(path);
  expect((await loadIdentity(root.path, { passphrase: 'secret' })).peerId).toBe(peerId);
  const sealed = await readFile(path);
  expect(isSealed(sealed)).toBe(true);
  expect(sealed.includes(plain)).toBe(false);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await loadIdentity(root.path, { passphrase: 'secret' })).peerId).toBe(peerId);
  await expect(loadIdentity(root.path)).rejects.toThrow(/--passphrase-file/);
  await expect(loadIdentity(root.path, { passphrase: 'other' })).rejects.toMatchObject({ code: 'invalid-request' });
});
