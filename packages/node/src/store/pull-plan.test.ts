import { expect, test } from 'vitest';

import { planPull } from './pull-plan.ts';

const repository = { kind: 'hugging-face', repository: 'owner/model', revision: 'main' } as const;

test.each([
  ['q8/tiny-Q8_0.gguf', 'tiny-Q8_0'],
  ['big-00002-of-00003.GGUF', 'big'],
  ['.gguf', 'model'],
  [`${'x'.repeat(600)}.gguf`, 'x'.repeat(512)],
])('names the model of %s by its file', (file, name) => {
  expect(planPull({ ...repository, file })).toMatchObject({
    name,
    remember: [name, `hf:owner/model/${file}`],
  });
});

test('names a model as its owner does', () => {
  const blob = { kind: 'local-file', path: `/blobs/sha256-${'a'.repeat(64)}`, name: 'llama3.2:3b' } as const;
  expect(planPull(blob)).toMatchObject({ name: 'llama3.2:3b', remember: ['llama3.2:3b'] });
});
