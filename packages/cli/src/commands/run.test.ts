import { PassThrough } from 'node:stream';

import { expect, test } from 'vitest';

import { runInProcess } from '../testing/run-in-process.ts';
import { printPieces, readPrompt } from './run.ts';

async function* breakOff(...pieces: readonly string[]) {
  yield* pieces;
  throw new Error('lost');
}

test.each([
  [['half an', ' answer', ''], 'half an answer\n'],
  [['a line\n'], 'a line\n'],
  [[], ''],
])('ends the line of an answer that breaks off: %j', async (pieces, printed) => {
  const stdout = new PassThrough();
  const { signal } = new AbortController();
  await expect(printPieces(breakOff(...pieces), { stdout, signal })).rejects.toThrow('lost');
  stdout.end();
  expect((await stdout.toArray()).join('')).toBe(printed);
});

test.each([
  ['from echo\n', 'from echo'],
  ['from Windows\r\n', 'from Windows'],
  ['one of several\n\n', 'one of several\n'],
  ['two\nlines', 'two\nlines'],
  ['  spaces stay  \n', '  spaces stay  '],
])('takes %j from standard input as %j', async (piped, prompt) => {
  const { signal } = new AbortController();
  expect(await readPrompt({ stdin: new PassThrough().end(piped), signal })).toBe(prompt);
});

test.each([
  [true, 'an ]52;c;answer\n[2J'],
  [false, 'an \u001B]52;c;answer\n\u001B[2J'],
])('prints an answer as text on a terminal, and as it is elsewhere (%s)', async (isTTY, printed) => {
  const stdout = Object.assign(new PassThrough(), { isTTY });
  async function* pieces() {
    yield 'an \u001B]52;c;';
    yield 'answer\n\u001B[2J';
  }
  await printPieces(pieces(), { stdout, signal: new AbortController().signal });
  stdout.end();
  expect((await stdout.toArray()).join('')).toBe(printed);
});

test.each(['', '  \n'])('refuses the empty prompt %j', async (prompt) => {
  const { code, stderr } = await runInProcess(['run', prompt]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: the prompt is empty; .*\n$/);
});
