import { expect, test } from 'vitest';

import { contextFailure, ErrorLog, loadFailure, publicReason } from './load-failure.ts';

const path = '/home/ada/skein/models/abc.partial';

test.each([
  [
    "llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer type: 'x'\n",
    "unknown pre-tokenizer type: 'x'",
  ],
  [
    "llama_model_load: error loading model: check_tensor_dims: tensor 'a.weight' not found",
    "tensor 'a.weight' not found",
  ],
  ['gguf_init: magic of /home/ada/skein/models/abc.partial is wrong', 'magic of the file is wrong'],
  [
    '/build/llama.cpp/src/llama-model.cpp:12: GGML_ASSERT(a > 0) failed',
    'llama-model.cpp:12: GGML_ASSERT(a > 0) failed',
  ],
  ['load: the name \u001b[31mred\u0007 is odd\nand more', 'the name  [31mred  is odd'],
])('quotes %j in public as %j', (text, reason) => {
  expect(publicReason(text, path)).toBe(reason);
});

test('quotes no more than a line of some length', () => {
  expect(publicReason(`load: ${'x'.repeat(5000)}`)).toHaveLength(300);
});

test.each([
  [
    'llama_init_from_model: K cache type q4_0 with block size 32 does not divide n_embd_head_k=80',
    'K cache type q4_0 with block size 32 does not divide n_embd_head_k=80; choose another type for the KV cache',
  ],
  ['llama_kv_cache: failed to allocate buffer for kv cache', 'for kv cache; ask for a smaller context'],
  [undefined, 'it does not say why; ask for a smaller context'],
])('says what to do about a context that was refused with %j', (text, told) => {
  const errors = new ErrorLog();
  if (text !== undefined) errors.add(text);
  expect(contextFailure(errors)).toMatchObject({
    code: 'engine-failed',
    message: expect.stringContaining(told) as string,
    details: { outOfMemory: text?.includes('alloc') === true },
  });
});

test('tells a bad file from a machine that can not load it', () => {
  expect(loadFailure('llama_model_load: error loading model: key not found in model: a', path)).toMatchObject({
    code: 'model-invalid',
    message: 'llama.cpp refuses the model: key not found in model: a; choose another file or a newer Skein',
  });
  expect(loadFailure('llama_model_load: error loading model: unable to allocate CPU buffer', path)).toMatchObject({
    code: 'engine-failed',
  });
  expect(loadFailure(undefined, path)).toMatchObject({ code: 'engine-failed' });
});

test('keeps the first errors, which are the causes of the others', () => {
  const log = new ErrorLog();
  for (let index = 0; index < 1000; index += 1) log.add(`error ${index}`);
  expect(log.first).toBe('error 0');
  log.clear();
  expect(log.first).toBeUndefined();
});
