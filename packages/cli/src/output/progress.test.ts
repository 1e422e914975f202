import { PassThrough } from 'node:stream';

import { expect, test } from 'vitest';

import { createProgress } from './progress.ts';

test('writes a few lines where there is no terminal', () => {
  const stream = new PassThrough();
  using progress = createProgress(stream);
  for (let percent = 0; percent <= 100; percent += 1) {
    progress.show({ label: 'download', doneBytes: percent * 1024, totalBytes: 100 * 1024 });
  }
  expect(String(stream.read())).toBe(
    [0, 25, 50, 75, 100].map((percent) => `download: ${percent}% of 100 KiB\n`).join(''),
  );
});

test('starts over with the next step', () => {
  const stream = new PassThrough();
  using progress = createProgress(stream);
  progress.show({ label: 'download', doneBytes: 10, totalBytes: 10 });
  progress.show({ label: 'verify', doneBytes: 0, totalBytes: 10 });
  expect(String(stream.read())).toBe('download: 100% of 10 B\nverify: 0% of 10 B\n');
});
