import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { exportAuthority, loadIdentity, loadOrCreateAuthority, saveMembership } from '@skein/mesh';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { runInProcess, type Outcome } from '../testing/run-in-process.ts';

async function temporaryPlace() {
  const root = await mkdtempDisposable(join(tmpdir(), 'skein-authority-'));
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(root.path, name), content, { mode: 0o600 });
    return join(root.path, name);
  };
  return {
    home: join(root.path, 'home'),
    other: join(root.path, 'other'),
    write,
    [Symbol.asyncDispose]: root[Symbol.asyncDispose],
  };
}

async function makeMesh(directory: string, passphrase?: string): Promise<void> {
  const { peerId } = await loadIdentity(directory, { passphrase });
  const authority = await loadOrCreateAuthority(directory, { passphrase });
  await saveMembership(directory, await authority.admit(peerId, { roles: ['coordinator'], name: 'home' }));
}

/** Returns the error text of a command that is refused. */
async function refusal(words: readonly string[], data: string): Promise<Outcome['stderr']> {
  const { code, stdout, stderr } = await runInProcess(words, { data });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^error: .*\n$/);
  return stderr;
}

// Each key that is sealed or opened takes scrypt a good part of a second: what nobody changes is made once.
let sealed: Awaited<ReturnType<typeof temporaryPlace>>;
let plain: Awaited<ReturnType<typeof temporaryPlace>>;
/** The file of the authority in `plain`, and one that holds its passphrase. */
let [file, words] = ['', ''];

beforeAll(async () => {
  sealed = await temporaryPlace();
  await makeMesh(sealed.home, 'correct horse');
  plain = await temporaryPlace();
  await makeMesh(plain.home);
  words = await plain.write('words.txt', 'correct horse\n');
  const exported = await exportAuthority(plain.home, { passphrase: undefined, filePassphrase: 'correct horse' });
  file = await plain.write('mesh.move', exported);
});
afterAll(async () => {
  await sealed[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
});

test.each(['up', 'export'])(
  'names file and flag for a passphrase that is wrong: %s',
  async (command) => {
    const { home } = sealed;
    const wrong = ['--passphrase-file', await sealed.write('wrong.txt', 'battery staple\n')];
    const commandLine =
      {
        up: ['up', '--port', '0', '--no-serve', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'],
        export: ['authority', 'export', join(home, 'mesh.backup'), '--file-passphrase', wrong[1] ?? ''],
      }[command] ?? [];
    const said = await refusal([...commandLine, ...wrong], home);
    expect(said).toContain(join(home, 'identity.key'));
    expect(said).toContain('--passphrase-file');
  },
  20_000,
);

test('says how the file of an authority is opened', async () => {
  const wrong = await plain.write('wrong.txt', 'battery staple\n');
  for (const [given, secret] of [
    [file, wrong],
    [words, words],
  ] as const) {
    const said = await refusal(['authority', 'import', given, '--file-passphrase', secret], plain.other);
    expect(said).toContain(given);
    expect(said).toMatch(/skein authority export.*--file-passphrase/);
  }
}, 20_000);

test('says what to do where an authority is already', async () => {
  await using place = await temporaryPlace();
  await makeMesh(place.other);
  const importing = ['authority', 'import', file, '--file-passphrase', words];
  const said = await refusal(importing, place.other);
  expect(said).toMatch(/holds the authority of a mesh already.*skein authority export.*--remove.*--data/);
  expect(said).toContain(place.other);
}, 20_000);

test('says that Skein must not run', async () => {
  const { stdout } = await runInProcess(['authority', 'export', '--help']);
  expect(stdout).toContain('skein stop');
});
