import { expect, test } from 'vitest';

import { findCatalogEntry } from '../catalog/index.ts';
import { parseModelReference, referenceTo } from './model-reference.ts';
import type { HuggingFaceSpec, RepositorySpec } from './source-spec.ts';

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

test.each([
  ['owner/Repo-GGUF', { revision: 'main', quantization: undefined }],
  ['hf:owner/Repo-GGUF', { revision: 'main', quantization: undefined }],
  ['owner/Repo-GGUF:Q4_K_M', { revision: 'main', quantization: 'Q4_K_M' }],
  ['hf:owner/Repo-GGUF:UD-Q4_K_XL@v2.1', { revision: 'v2.1', quantization: 'UD-Q4_K_XL' }],
  ['owner/Repo-GGUF@refs/pr/1', { revision: 'refs/pr/1', quantization: undefined }],
])('reads the repository %s', (text, expected) => {
  const reference = parseModelReference(text);
  expect(reference).toEqual({ kind: 'repository', repository: 'owner/Repo-GGUF', ...expected });
  expect(parseModelReference(referenceTo(reference as RepositorySpec))).toEqual(reference);
});

test('reads the revision of a file, and one that is named apart', () => {
  const file = { kind: 'hugging-face', repository: 'owner/repo', revision: 'abc', file: 'a@b.gguf' };
  expect(parseModelReference('hf:owner/repo/a@b.gguf@abc')).toEqual(file);
  expect(parseModelReference('hf:owner/repo/a@b.gguf', { revision: 'abc' })).toEqual(file);
  expect(referenceTo(file as HuggingFaceSpec)).toBe('hf:owner/repo/a@b.gguf@abc');
  expect(parseModelReference('owner/repo:Q8_0', { revision: 'v1' })).toMatchObject({ revision: 'v1' });
});

test.each([
  ['owner/repo@v1', 'v2', /two revisions/],
  ['owner/repo', '../v2', /no branch, tag or commit/],
  ['smollm2', 'v2', /only a repository has revisions/],
  ['model.gguf', 'v2', /only a repository has revisions/],
])('refuses %s with revision %s', (text, revision, message) => {
  expect(() => parseModelReference(text, { revision })).toThrow(message);
});

test.each([
  'owner/repo/more',
  'owner/repo:',
  'owner/repo:Q4/K',
  'owner/repo@',
  'owner/repo:a b',
  '/owner/repo',
  './owner/repo',
])('takes %s for no repository', (text) => {
  expect(() => parseModelReference(text)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
});
