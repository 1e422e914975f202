import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { runProbe, type ProbeLimits } from './run-probe.ts';

const limits: ProbeLimits = { startMs: 600_000, attemptMs: 600_000, attemptPerStart: 1 };
const hang = 'for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);';

/** Runs a probe whose program has these lines: before it starts, and as its attempt. */
async function probe(
  { before = '', attempt }: { readonly before?: string; readonly attempt: string },
  options: { readonly limits?: ProbeLimits; readonly signal?: AbortSignal } = {},
) {
  await using directory = await temporaryDirectory();
  const script = join(directory.path, 'main.mjs');
  const { href } = new URL('answer-probe.ts', import.meta.url);
  const lines = [`import { answerProbe } from '${href}';`, before, `await answerProbe(() => { ${attempt} });`];
  await writeFile(script, lines.join('\n'));
  return await runProbe({ script: pathToFileURL(script), arguments: ['one', 'two'], limits, ...options });
}

test('returns what the attempt answers', async () => {
  const attempt = 'return process.argv.slice(2)';
  expect(await probe({ attempt })).toEqual({ type: 'answered', answer: '["one","two"]' });
});

test('gives a machine that starts slowly as much more time for the attempt', async () => {
  // No process starts in a millisecond, which is all that the attempt would have.
  const slow = { ...limits, attemptMs: 1, attemptPerStart: 100_000 };
  expect(await probe({ attempt: 'return 1' }, { limits: slow })).toEqual({ type: 'answered', answer: '1' });
});

test('ends an attempt that hangs', async () => {
  const short = { ...limits, attemptMs: 1, attemptPerStart: 0 };
  expect(await probe({ attempt: hang }, { limits: short })).toEqual({ type: 'late', phase: 'attempt', limitMs: 1 });
});

test('ends a program that never starts', async () => {
  const short = { ...limits, startMs: 1 };
  const result = await probe({ before: hang, attempt: 'return 1' }, { limits: short });
  expect(result).toEqual({ type: 'late', phase: 'start', limitMs: 1 });
});

test('tells how a process ended, and its last words', async () => {
  expect(await probe({ attempt: 'throw new Error("no such device")' })).toMatchObject({
    type: 'ended',
    by: 1,
    errors: expect.stringMatching(/^Error: no such device$/m) as string,
  });
  expect(await probe({ attempt: 'process.kill(process.pid, "SIGKILL")' })).toMatchObject({
    type: 'ended',
    by: 'SIGKILL',
  });
});

test('refuses an answer without end', async () => {
  const result = await probe({ attempt: 'return "x".repeat(2 ** 21)' });
  expect(result).toMatchObject({ type: 'ended', errors: expect.stringMatching(/too long/) as string });
});

test('ends with its signal', async () => {
  const controller = new AbortController();
  const running = probe({ attempt: hang }, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(running).rejects.toThrow('enough');
});
