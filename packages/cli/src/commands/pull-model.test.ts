import { PassThrough } from 'node:stream';

import { SkeinError, type HeldModel } from '@skein/protocol';
import { expect, test } from 'vitest';

import { pullModel, readReference } from './pull-model.ts';

const context = { environment: {} };

async function pullFailingWith(error: Error): Promise<HeldModel> {
  const store = {
    pull: async (): Promise<HeldModel> => {
      throw error;
    },
  };
  const { signal } = new AbortController();
  return await pullModel(store, 'hf:owner/model/file.gguf', { stderr: new PassThrough(), signal, environment: {} });
}

test('says what helps where no source can be reached', async () => {
  const failed = pullFailingWith(new SkeinError('model-unreachable', 'cannot download from huggingface.co'));
  await expect(failed).rejects.toMatchObject({
    code: 'model-unreachable',
    message: /^cannot download from huggingface\.co; check the network.*pull it by its path$/,
  });
});

test('leaves any other error as it is', async () => {
  const error = new SkeinError('disk-failed', 'the disk is full; free some room');
  await expect(pullFailingWith(error)).rejects.toBe(error);
});

test('asks for nothing on the network where the path of something here may be meant', async () => {
  // Tests run in the root of the project, where this is a directory.
  await expect(readReference('packages/cli', context)).rejects.toMatchObject({
    code: 'invalid-request',
    message:
      'there is something at packages/cli on this machine, too; write hf:packages/cli for the repository, or the path of a .gguf',
  });
  expect(await readReference('hf:packages/cli', context)).toMatchObject({
    kind: 'repository',
    repository: 'packages/cli',
  });
  expect(await readReference('owner/repository:Q8_0', context, { revision: 'v1' })).toMatchObject({ revision: 'v1' });
});
