import { execFileSync } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { findLocalModel, findLocalModels, isLocalModelReference } from './find-local-models.ts';
import { localModelPlaces } from './places.ts';

const sha256 = 'a'.repeat(64);
const other = 'b'.repeat(64);
const commit = 'c'.repeat(40);
const modelLayer = { mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${sha256}` };
const gguf = 'GGUF and more';

/** Makes a user's directory in which other programs keep models. */
async function homeFixture(files: Readonly<Record<string, string>>) {
  const directory = await temporaryDirectory();
  const write = async (name: string, content: string) => {
    const path = join(directory.path, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    return path;
  };
  for (const [name, content] of Object.entries(files)) await write(name, content);
  const places = localModelPlaces({ environment: {}, home: directory.path, platform: 'darwin' });
  return { home: directory.path, places, write, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

test('finds what Ollama holds, by its manifests', async () => {
  const manifests = '.ollama/models/manifests/registry.example';
  await using fixture = await homeFixture({
    [`.ollama/models/blobs/sha256-${sha256}`]: gguf,
    [`.ollama/models/blobs/sha256-${other}`]: 'a licence',
    [`${manifests}/library/llama3.2/3b`]: JSON.stringify({
      layers: [modelLayer, { mediaType: 'application/vnd.ollama.image.license', digest: `sha256:${other}` }],
    }),
    [`${manifests}/owner/model-GGUF/Q4_K_M`]: JSON.stringify({ layers: [modelLayer] }),
    [`${manifests}/library/no-gguf/1b`]: JSON.stringify({ layers: [{ ...modelLayer, digest: `sha256:${other}` }] }),
    [`${manifests}/library/gone/1b`]: JSON.stringify({ layers: [{ ...modelLayer, digest: `sha256:${commit}` }] }),
    [`${manifests}/library/climbs/1b`]: JSON.stringify({ layers: [{ ...modelLayer, digest: 'sha256:../../../x' }] }),
    [`${manifests}/library/broken/1b`]: '{"layers":',
    [`${manifests}/library/several/1b`]: JSON.stringify({ layers: [modelLayer, modelLayer] }),
    [`${manifests}/stray`]: 'x',
  });
  const path = join(fixture.home, '.ollama/models/blobs', `sha256-${sha256}`);
  const facts = { program: 'Ollama', path, bytes: gguf.length, sha256 };
  expect(await findLocalModels(fixture.places)).toEqual([
    { reference: 'ollama:llama3.2:3b', ...facts },
    { reference: 'ollama:owner/model-GGUF:Q4_K_M', ...facts },
  ]);
  const named = { kind: 'local-file', path, name: 'llama3.2:3b' };
  expect(await findLocalModel('ollama:llama3.2:3b', fixture.places)).toEqual(named);
  await expect(findLocalModel('ollama:gone:1b', fixture.places)).rejects.toMatchObject({
    code: 'model-not-found',
    message: 'no model is called ollama:gone:1b on this machine; `skein models --local` lists those that there are',
  });
});

test('finds what LM Studio holds, parts as one model', async () => {
  await using fixture = await homeFixture({
    '.lmstudio/models/owner/repo/tiny-Q8_0.gguf': gguf,
    '.lmstudio/models/owner/repo/mmproj-tiny.gguf': gguf,
    '.lmstudio/models/owner/repo/page.gguf': '<html>',
    '.lmstudio/models/owner/big/big-00001-of-00002.gguf': gguf,
    '.lmstudio/models/owner/big/big-00002-of-00002.gguf': gguf,
    '.lmstudio/models/owner/half/half-00001-of-00002.gguf': gguf,
    '.lmstudio/models/owner/odd/odd-00001-of-99999.gguf': gguf,
  });
  const found = await findLocalModels(fixture.places);
  expect(found.map(({ reference, bytes }) => [reference, bytes])).toEqual([
    ['lm-studio:owner/big/big.gguf', 2 * gguf.length],
    ['lm-studio:owner/repo/tiny-Q8_0.gguf', gguf.length],
  ]);
});

test('finds what the Hugging Face cache holds, and follows no link out of it', async () => {
  await using fixture = await homeFixture({
    [`.cache/huggingface/hub/models--owner--repo/blobs/${sha256}`]: gguf,
    'elsewhere/private.gguf': gguf,
  });
  const snapshot = join(fixture.home, '.cache/huggingface/hub/models--owner--repo/snapshots', commit);
  await mkdir(join(snapshot, 'q8'), { recursive: true });
  await symlink(join('..', '..', '..', 'blobs', sha256), join(snapshot, 'q8', 'tiny-Q8_0.gguf'));
  await symlink(join(fixture.home, 'elsewhere/private.gguf'), join(snapshot, 'private.gguf'));
  await symlink(join(fixture.home, 'elsewhere'), join(snapshot, 'folder'));
  await symlink('nowhere.gguf', join(snapshot, 'nowhere.gguf'));
  await symlink('round.gguf', join(snapshot, 'round.gguf'));
  if (process.platform !== 'win32') execFileSync('mkfifo', [join(snapshot, 'pipe.gguf')]);
  expect(await findLocalModels(fixture.places)).toEqual([
    {
      reference: 'hf-cache:owner/repo/q8/tiny-Q8_0.gguf',
      program: 'Hugging Face cache',
      path: join(snapshot, 'q8', 'tiny-Q8_0.gguf'),
      bytes: gguf.length,
      sha256,
    },
  ]);
});

test('finds nothing where there is nothing', async () => {
  await using fixture = await homeFixture({});
  expect(await findLocalModels(fixture.places)).toEqual([]);
});

test('looks where the variables of those programs say', () => {
  const home = '/home/user';
  const environment = { OLLAMA_MODELS: '/big/ollama', HF_HOME: '/big/hf', XDG_CACHE_HOME: '/cache' };
  expect(localModelPlaces({ environment, home, platform: 'linux' })).toMatchObject({
    ollama: ['/big/ollama'],
    huggingFace: ['/big/hf/hub'],
  });
  expect(localModelPlaces({ environment: {}, home, platform: 'linux' })).toMatchObject({
    ollama: ['/home/user/.ollama/models', '/usr/share/ollama/.ollama/models', '/var/lib/ollama/models'],
    huggingFace: ['/home/user/.cache/huggingface/hub'],
  });
  expect(localModelPlaces({ environment: {}, home: 'C:\\Users\\user', platform: 'win32' })).toMatchObject({
    lmStudio: ['C:\\Users\\user\\.lmstudio\\models', 'C:\\Users\\user\\.cache\\lm-studio\\models'],
  });
});

test.each([
  ['ollama:llama3.2:3b', true],
  ['lm-studio:owner/repo/file.gguf', true],
  ['hf-cache:owner/repo/file.gguf', true],
  ['hf:owner/repo/file.gguf', false],
  ['ollama', false],
])('knows whether %s is a reference to another program’s model', (text, expected) => {
  expect(isLocalModelReference(text)).toBe(expected);
});
