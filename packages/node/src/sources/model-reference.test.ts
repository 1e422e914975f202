import { expect, test } from 'vitest';

import { findCatalogEntry } from '../catalog/index.ts';
import { parseModelReference } from './model-reference.ts';

test('reads catalog names, paths and Hugging Face files', () => {
  expect(parseModelReference('SmolLM2')).toEqual({ kind: 'catalog', entry: findCatalogEntry('smollm2-135m-instruct') });
  expect(parseModelReference('./Models/Some Model.GGUF')).toEqual({
    kind: 'local-file',
    path: './Models/Some Model.GGUF',
  });
  expect(parseModelReference('hf:Owner/Repo-GGUF/sub/model.Q4.gguf')).toEqual({
    kind: 'hugging-face',
    repository: 'Owner/Repo-GGUF',
    revision: 'main',
    file: 'sub/model.Q4.gguf',
  });
});

test.each([
  '',
  'gpt-7',
  'model.safetensors',
  'https://example.com/model',
  'hf:owner/model.gguf',
  'hf:owner/repo/model.bin',
  'hf:../repo/model.gguf',
  'hf:owner/repo/../model.gguf',
])('refuses "%s" and says what can be named', (text) => {
  expect(() => parseModelReference(text)).toThrow(
    expect.objectContaining({
      code: 'invalid-request',
      message: expect.stringMatching(/hf:owner\/repository\/file\.gguf/),
    }),
  );
});

test('names the models of the catalog when a name is unknown', () => {
  expect(() => parseModelReference('gpt-7')).toThrow(/smollm2-135m-instruct, gemma-3-270m/);
});

test('takes any part of a model for the whole', () => {
  expect(parseModelReference('hf:owner/repo/q4/model-00002-of-00003.gguf')).toMatchObject({
    kind: 'hugging-face',
    file: 'q4/model-00002-of-00003.gguf',
  });
  expect(parseModelReference('model-00001-of-00003.gguf')).toMatchObject({ kind: 'local-file' });
});
