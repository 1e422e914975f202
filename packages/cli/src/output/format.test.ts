import { expect, test } from 'vitest';

import { formatTable, printable, printableLines } from './format.ts';

const hostile = 'a\u001B[2Jb\u009B31mc\rd\u202Ee\u2028f\uD800g\u0007h';

test('leaves nothing of a text that a terminal would obey', () => {
  expect(printable(hostile)).toBe('a[2Jb31mcdefgh');
  expect(printable('one\ntwo\tthree')).toBe('onetwothree');
  expect(printableLines(`one\n\ttwo${hostile}`)).toBe('one\n\ttwoa[2Jb31mcdefgh');
});

test('leaves names of all languages, and pictures, as they are', () => {
  for (const name of ['büro', '机房', 'حاسوب', '👩‍💻 desk', 'e\u0301cran']) expect(printable(name)).toBe(name);
});

test('lays out a table by what is shown of its cells', () => {
  expect(
    formatTable([
      ['\u001B[31mred', 'x'],
      ['four', 'y'],
    ]),
  ).toBe('[31mred  x\nfour     y');
});
