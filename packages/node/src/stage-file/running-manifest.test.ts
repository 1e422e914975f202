import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { createManifest } from './manifest.ts';
import { RunningManifest } from './running-manifest.ts';

async function tinyModel() {
  await using directory = await temporaryDirectory();
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  return { content: await readFile(file), manifest: (await createManifest({ file, name: 'tiny' })).manifest };
}

test.each([997, 65_536, 262_144, 10_000_000])('is the same however the file comes: in pieces of %i', async (size) => {
  const { content, manifest } = await tinyModel();
  const running = new RunningManifest({ bytes: content.byteLength, name: 'tiny' });
  for (let offset = 0; offset < content.byteLength; offset += size) {
    await running.update(content.subarray(offset, offset + size));
  }
  expect(running.finish()).toEqual(manifest);
});

test('refuses what is no model as soon as its head is there', async () => {
  const running = new RunningManifest({ bytes: 1e12, name: 'page' });
  await running.update(new Uint8Array(200_000));
  await expect(running.update(new Uint8Array(100_000))).rejects.toThrow(/not a GGUF file/);
});

test('keeps no head without end', async () => {
  const preamble = Buffer.alloc(24);
  preamble.write('GGUF');
  preamble.writeUInt32LE(3, 4);
  preamble.writeBigUInt64LE(2n, 16);
  const key = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0x61, 8, 0, 0, 0]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(2n ** 36n);
  const running = new RunningManifest({ bytes: 1e12, name: 'endless' });
  await running.update(Buffer.concat([preamble, key, length]));
  const megabyte = new Uint8Array(1024 * 1024);
  const feeding = async () => {
    for (let index = 0; index < 100; index++) await running.update(megabyte);
  };
  await expect(feeding()).rejects.toThrow(/its metadata take more than 64\.0 MiB/);
});

test('refuses a file of which bytes are missing', async () => {
  const { content } = await tinyModel();
  const running = new RunningManifest({ bytes: content.byteLength, name: 'tiny' });
  await running.update(content.subarray(0, -1));
  expect(() => running.finish()).toThrow(/changed while it was read/);
});
