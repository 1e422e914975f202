import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import {
  tinyArchitectures,
  writeTinyModel,
  type TinyModelOptions,
} from '../../../../../scripts/fixtures/tiny-models.ts';
import { checkModel } from './check-model.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-check-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function tiny(name: string, metadata: TinyModelOptions['metadata'] = {}): Promise<string> {
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel(name, file, { metadata });
  return file;
}

test.each(tinyArchitectures)('takes $name', async ({ name }) => {
  await expect(checkModel(await tiny(name))).resolves.toBeUndefined();
});

test.each([
  [
    'a tokenizer that llama.cpp does not know',
    { 'tokenizer.ggml.pre': ['string', 'x'] },
    /unknown pre-tokenizer type: 'x'/,
  ],
  ['an unknown architecture', { 'general.architecture': ['string', 'x'] }, /unknown model architecture: 'x'/],
  ['tensors of another shape', { 'llama.embedding_length': ['uint32', 64] }, /has wrong shape/],
  ['tensors that are missing', { 'llama.block_count': ['uint32', 7] }, /tensor 'blk\.6\..*' not found/],
  [
    'numbers that make llama.cpp abort',
    { 'llama.block_count': ['uint32', 600] },
    /crashes over the model.*GGML_ASSERT/,
  ],
] as const)('refuses %s, with the reason and without paths', async (_, metadata, message) => {
  const refusal = checkModel(await tiny('llama', metadata));
  await expect(refusal).rejects.toMatchObject({ code: 'model-invalid', message });
  await expect(refusal).rejects.not.toMatchObject({
    message: expect.stringMatching(/\/(tmp|home|root|build)/) as string,
  });
});

test('refuses what is no GGUF', async () => {
  const file = join(directory, 'page.gguf');
  await writeFile(file, '<html>');
  await expect(checkModel(file)).rejects.toMatchObject({ code: 'model-invalid' });
});

test('ends with its signal', async () => {
  const file = await tiny('llama');
  await expect(checkModel(file, { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/);
});
