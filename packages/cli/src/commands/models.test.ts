import { mkdir, mkdtempDisposable, readFile, rename, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isAnything } from '@skein/mesh';
import type { Card, HeldModel } from '@skein/protocol';
import { expect, test } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { runInProcess } from '../testing/run-in-process.ts';
import { assertNoStage, assertUnused } from './rm.ts';

test('lists what Ollama holds, pulls it by its name there, and removes it again', async () => {
  await using home = await mkdtempDisposable(join(tmpdir(), 'skein-models-'));
  const data = join(home.path, 'data');
  const environment = { HOME: home.path, OLLAMA_MODELS: join(home.path, 'ollama') };
  const file = join(home.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const sha256 = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  const manifests = join(home.path, 'ollama', 'manifests', 'registry.example', 'library', 'tiny');
  await mkdir(manifests, { recursive: true });
  await mkdir(join(home.path, 'ollama', 'blobs'));
  await rename(file, join(home.path, 'ollama', 'blobs', `sha256-${sha256}`));
  const layer = { mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${sha256}` };
  await writeFile(join(manifests, '1b'), JSON.stringify({ layers: [layer] }));
  const skein = async (...commandLine: readonly string[]) => await runInProcess(commandLine, { data, environment });

  expect((await skein('models')).stdout).toBe('No model is here. `skein pull` gets one.\n');
  expect((await skein('models', '--local')).stdout).toMatch(/^Ollama +.* skein pull ollama:tiny:1b$/m);
  expect(await skein('pull', 'ollama:tiny:1b')).toMatchObject({ code: 0, stdout: /^tiny:1b is here/ });
  expect((await skein('models', '--local')).stdout).toContain('ollama:tiny:1b is here already');
  expect(JSON.parse((await skein('models', '--json')).stdout)).toMatchObject({ models: [{ model: sha256 }] });
  expect((await skein('models')).stdout).toMatch(new RegExp(`^tiny:1b +.* ${sha256.slice(0, 12)}$`, 'm'));
  const removed = await skein('rm', 'tiny:1b');
  expect(removed).toMatchObject({ code: 0, stdout: /^tiny:1b is removed: .* another program holds the file, too\n$/ });
  expect(await skein('rm', 'tiny:1b')).toMatchObject({
    code: 1,
    stderr: 'error: no model is called tiny:1b here; `skein models` lists those that are\n',
  });
});

test('names what interrupted pulls have left, and frees it', async () => {
  await using home = await mkdtempDisposable(join(tmpdir(), 'skein-models-'));
  const data = join(home.path, 'data');
  const skein = async (...commandLine: readonly string[]) => await runInProcess(commandLine, { data });
  expect(await skein('rm', '--interrupted')).toMatchObject({
    code: 0,
    stdout: '0 B of interrupted pulls are free again\n',
  });
  expect(await isAnything(data)).toBe(false);
  await mkdir(join(data, 'models'), { recursive: true, mode: 0o700 });
  await writeFile(join(data, 'models', `${'a'.repeat(64)}.partial`), Buffer.alloc(2 ** 20, 1));
  expect((await skein('models')).stdout).toMatch(/^1\.0 MiB of pulls that have not ended; .*`skein rm --interrupted`/m);
  expect(await skein('rm', '--interrupted')).toMatchObject({ code: 0, stdout: /^1\.0 MiB of interrupted pulls/ });
  expect(JSON.parse((await skein('models', '--json')).stdout)).toEqual({
    models: [],
    unfinishedBytes: 0,
    stageFileBytes: 0,
  });
  for (const wrong of [['rm'], ['rm', 'tiny', '--interrupted'], ['rm', '--stages', '--interrupted']]) {
    expect(await skein(...wrong)).toMatchObject({ code: 2, stderr: /name a model, or give --interrupted or --stages/ });
  }
});

test('names the room that stage files take, and frees it', async () => {
  await using home = await mkdtempDisposable(join(tmpdir(), 'skein-models-'));
  const data = join(home.path, 'data');
  const skein = async (...commandLine: readonly string[]) => await runInProcess(commandLine, { data });
  expect(await skein('rm', '--stages')).toMatchObject({ code: 0, stdout: '0 B of stage files are free again\n' });
  await mkdir(join(data, 'stages'), { recursive: true, mode: 0o700 });
  await writeFile(join(data, 'stages', `${'a'.repeat(64)}.gguf`), Buffer.alloc(2 ** 20, 1));
  await writeFile(join(data, 'stages', 'notes.txt'), 'stays');
  expect((await skein('models')).stdout).toMatch(/^1\.0 MiB of stage files, .*`skein rm --stages`/m);
  expect(await skein('rm', '--stages')).toMatchObject({ code: 0, stdout: '1.0 MiB of stage files are free again\n' });
  expect((await skein('models')).stdout).not.toContain('stage files');
  expect(await isAnything(join(data, 'stages', 'notes.txt'))).toBe(true);
});

const model: HeldModel = { model: 'a'.repeat(64), manifest: 'b'.repeat(64), name: 'tiny', bytes: 1 };
const stage: Card['stages'][number] = {
  deployment: 'd1',
  model: model.model,
  name: 'tiny',
  stage: 0,
  stages: 1,
  block: { from: 0, to: 2 },
  state: 'ready',
  contextTokens: 100,
  sequences: 1,
  bytes: 0,
  active: 0,
  queued: 0,
};

/** Makes a card with what matters here. */
function card(peer: string, own: Partial<Card>): Card {
  const idle = { version: 1, roles: ['peer' as const], software: 'skein/0', addresses: [], models: [], stages: [] };
  return { ...idle, peer, name: peer, ...own };
}

test('does not remove what this machine computes with, and says what helps', () => {
  const cards = [card('here', { models: [model], stages: [stage] }), card('there', { models: [model] })];
  expect(() => assertUnused(model, { peer: 'here', cards })).toThrow(
    'this machine computes with tiny; run `skein undeploy d1` where it was deployed, then this again',
  );
});

test('does not remove the stage files of a machine that has a stage', () => {
  const cards = [card('here', { stages: [stage] }), card('there', {})];
  expect(() => assertNoStage({ peer: 'here', cards })).toThrow(/computes with tiny; run `skein undeploy d1`/);
  expect(() => assertNoStage({ peer: 'there', cards })).not.toThrow();
});

test('does not remove the only copy of what is deployed elsewhere', () => {
  const here = card('here', { models: [model] });
  const there = card('there', { stages: [stage] });
  expect(() => assertUnused(model, { peer: 'here', cards: [here, there] })).toThrow(/no other machine holds it whole/);
  const third = card('third', { models: [model] });
  expect(() => assertUnused(model, { peer: 'here', cards: [here, there, third] })).not.toThrow();
  expect(() => assertUnused(model, { peer: 'here', cards: [here] })).not.toThrow();
});
