import { expect, test } from 'vitest';

import { partPaths, withoutPart } from './part-names.ts';

test('names all parts, whichever is named', () => {
  const parts = ['q4/big-00001-of-00002.GGUF', 'q4/big-00002-of-00002.GGUF'];
  for (const part of parts) expect(partPaths(part)).toEqual(parts);
  expect(withoutPart('q4/big-00002-of-00002.GGUF')).toBe('q4/big.GGUF');
});

test.each(['big.gguf', 'big-1-of-2.gguf', 'big-00001-of-00001.gguf'])('takes %s for a whole model', (path) => {
  expect(partPaths(path)).toBeUndefined();
});

test.each(['big-00001-of-99999.gguf', 'big-00001-of-00000.gguf', 'big-00000-of-00002.gguf', 'big-00003-of-00002.gguf'])(
  'refuses %s before anything is asked for',
  (path) => {
    expect(() => partPaths(path)).toThrow(expect.objectContaining({ code: 'model-invalid' }));
  },
);
