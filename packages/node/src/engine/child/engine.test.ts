import { plannedSpecSchema } from '@skein/protocol';
import { expect, it } from 'vitest';

import { libraryDirectory } from '../../hardware/backend.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { createEngine } from './engine.ts';

it('looks at the template of its deployment before it reads a model', async () => {
  const directory = await libraryDirectory('cpu');
  const outputs = { control: () => undefined, ring: () => undefined, whenRingIsFlushed: () => undefined };
  const start = async (chatTemplate: string) =>
    await createEngine(
      loadLibllama(directory),
      {
        type: 'engine-load',
        libraryDirectory: directory,
        file: 'there-is-none.gguf',
        stage: 0,
        stages: 1,
        layers: 2,
        cacheBytes: 0,
        hiddenTensor: '',
        hiddenSize: 8,
        spec: plannedSpecSchema.parse({ model: 'ab'.repeat(32), contextTokens: 64, chatTemplate }),
        swapTokens: 0,
        threads: 1,
      },
      outputs,
    );
  await expect(start('{% if %}')).rejects.toMatchObject({ code: 'invalid-request' });
  await expect(start('{{ messages }}')).rejects.not.toMatchObject({ code: 'invalid-request' });
});
