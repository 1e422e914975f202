import { expect, test } from 'vitest';

import { chooseFile } from './quantization.ts';

const repository = 'owner/model-GGUF';
const files = [
  'README.md',
  'mmproj-model-F16.gguf',
  'model.imatrix',
  'imatrix.gguf',
  'model-IQ4_XS.gguf',
  'model-Q4_K_M.gguf',
  'model-Q4_K_S.gguf',
  'model.Q8_0.gguf',
  'model-UD-Q4_K_XL.gguf',
  'BF16/model-BF16-00001-of-00002.gguf',
  'BF16/model-BF16-00002-of-00002.gguf',
];

test.each([
  ['Q4_K_M', 'model-Q4_K_M.gguf'],
  ['q4_k_s', 'model-Q4_K_S.gguf'],
  ['Q8_0', 'model.Q8_0.gguf'],
  ['UD-Q4_K_XL', 'model-UD-Q4_K_XL.gguf'],
  ['Q4_K_XL', 'model-UD-Q4_K_XL.gguf'],
  ['BF16', 'BF16/model-BF16-00001-of-00002.gguf'],
  [undefined, 'model-Q4_K_M.gguf'],
])('takes %s for %s', (quantization, file) => {
  expect(chooseFile(repository, files, quantization)).toBe(file);
});

test.each(['Q4_K', 'Q4', 'F16', '.*'])('takes %s for nothing else, and lists what there is', (text) => {
  expect(() => chooseFile(repository, files, text)).toThrow(
    expect.objectContaining({
      code: 'model-not-found',
      message: expect.stringMatching(/has no model in .*it has BF16\/model-BF16\.gguf, model-IQ4_XS\.gguf, .*:Q8_0/),
    }),
  );
});

test('takes the only model, whatever it is called', () => {
  expect(chooseFile(repository, ['a.txt', 'some.gguf', 'mmproj-some.gguf'], undefined)).toBe('some.gguf');
});

test('lists the models where several fit', () => {
  const both = ['one-Q8_0.gguf', 'two-Q8_0.gguf'];
  expect(() => chooseFile(repository, both, 'Q8_0')).toThrow(
    'several models in Q8_0: one-Q8_0.gguf, two-Q8_0.gguf; name one, like hf:owner/model-GGUF/one-Q8_0.gguf',
  );
  expect(() => chooseFile(repository, both, undefined)).toThrow('has several models');
});

test('lists no more than can be read', () => {
  const many = Array.from({ length: 5000 }, (_, index) => `model-${index}.gguf`);
  expect(() => chooseFile(repository, many, 'Q8_0')).toThrow(/ and 4960 more; name one/);
});

test('says which part is not there, before anything is downloaded', () => {
  expect(() => chooseFile(repository, files.slice(0, -1), 'BF16')).toThrow(
    'part 2 of 2 is missing in the repository: BF16/model-BF16-00002-of-00002.gguf',
  );
});

test('says that there is no GGUF', () => {
  expect(() => chooseFile(repository, ['model.safetensors'], 'Q8_0')).toThrow(/owner\/model-GGUF has no GGUF/);
});
