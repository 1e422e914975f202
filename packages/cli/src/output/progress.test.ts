import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';

import { expect, test } from 'vitest';

import { createProgress } from './progress.ts';

const never = new AbortController().signal;

/** A terminal, and what is on it: each line as it was drawn last. */
function terminal() {
  const stream = Object.assign(new PassThrough(), {
    isTTY: true,
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
  });
  const drawn = () => {
    const text = stripVTControlCharacters(String(stream.read() ?? ''));
    return text.split('\n').map((line) => /(.*\S)/.exec(line.split(/\r|(?=download|verify)/).at(-1) ?? '')?.[1] ?? '');
  };
  return { stream, drawn };
}

test('writes a few lines where there is no terminal', () => {
  const stream = new PassThrough();
  using progress = createProgress(stream, { signal: never });
  for (let percent = 0; percent <= 100; percent += 1) {
    progress.show({ label: 'download', doneBytes: percent * 1024, totalBytes: 100 * 1024 });
  }
  expect(String(stream.read())).toBe(
    [0, 25, 50, 75, 100].map((percent) => `download: ${percent}% of 100 KiB\n`).join(''),
  );
});

test('starts over with the next step', () => {
  const stream = new PassThrough();
  using progress = createProgress(stream, { signal: never });
  progress.show({ label: 'download', doneBytes: 10, totalBytes: 10 });
  progress.show({ label: 'verify', doneBytes: 0, totalBytes: 10 });
  expect(String(stream.read())).toBe('download: 100% of 10 B\nverify: 0% of 10 B\n');
});

test('ends the bar of a step that is done at 100 %, also where its whole has grown', () => {
  const { stream, drawn } = terminal();
  using progress = createProgress(stream, { signal: never });
  progress.show({ label: 'download', doneBytes: 1, totalBytes: 4 });
  progress.show({ label: 'download', doneBytes: 5, totalBytes: 8 });
  progress.show({ label: 'verify', doneBytes: 1, totalBytes: 8 });
  progress.complete();
  expect(drawn()).toEqual([
    expect.stringMatching(/^download .* 100% of 8 B$/),
    expect.stringMatching(/^verify .* 100% of 8 B$/),
    '',
  ]);
});

test('leaves the bar of a source that failed where it was', () => {
  const { stream, drawn } = terminal();
  using progress = createProgress(stream, { signal: never });
  progress.show({ label: 'download', from: 'here', doneBytes: 1, totalBytes: 4 });
  progress.show({ label: 'download', from: 'there', doneBytes: 4, totalBytes: 4 });
  progress.complete();
  expect(drawn()).toMatchObject([
    expect.stringMatching(/^download from here .* 25% of 4 B$/),
    expect.stringMatching(/^download from there .* 100% of 4 B$/),
    '',
  ]);
});

test('draws nothing more once it is cancelled', () => {
  const { stream, drawn } = terminal();
  const controller = new AbortController();
  using progress = createProgress(stream, controller);
  progress.show({ label: 'download', doneBytes: 1, totalBytes: 4 });
  controller.abort();
  expect(drawn()).toEqual([expect.stringMatching(/^download .* 25% of 4 B$/), '']);
  progress.show({ label: 'verify', doneBytes: 1, totalBytes: 4 });
  progress.complete();
  progress[Symbol.dispose]();
  expect(stream.read()).toBeNull();
});
