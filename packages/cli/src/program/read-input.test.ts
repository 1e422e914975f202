import { PassThrough, Readable } from 'node:stream';

import { expect, test } from 'vitest';

import { readInput } from './read-input.ts';

const { signal } = new AbortController();

test('reads characters that are cut between two chunks', async () => {
  const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];
  expect(await readInput({ stdin: Readable.from([first, second]), signal }, { maxBytes: 2 })).toBe('é');
});

test('refuses what has no end, before it is kept', async () => {
  let given = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        given += 1000;
        yield Buffer.alloc(1000);
      }
    })(),
  );
  await expect(readInput({ stdin: endless, signal }, { maxBytes: 10_000 })).rejects.toMatchObject({
    code: 'invalid-request',
    message: 'standard input has more than 9.8 KiB; pipe in less',
  });
  expect(given).toBeLessThan(100_000);
});

test('ends when it is interrupted, and lets go of the input', async () => {
  const stdin = new PassThrough();
  const interrupted = new AbortController();
  const reading = readInput({ stdin, signal: interrupted.signal }, { maxBytes: 10 });
  interrupted.abort();
  await expect(reading).rejects.toMatchObject({ code: 'aborted' });
  expect(stdin.destroyed).toBe(true);
});
