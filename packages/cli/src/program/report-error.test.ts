import { PassThrough } from 'node:stream';

import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { reportError } from './report-error.ts';

function report(error: unknown, verbose = false): string {
  const stream = new PassThrough();
  reportError(stream, error, { verbose });
  return String(stream.read());
}

test('says an error of ours as it is, in one line', () => {
  expect(report(new SkeinError('not-running', 'nothing runs;\n  start it'))).toBe('error: nothing runs; start it\n');
});

test('lets nothing of an error reach the terminal but text', () => {
  expect(report(new SkeinError('peer-lost', 'run this on \u001B]0;title\u0007attic'))).toBe(
    'error: run this on ]0;titleattic\n',
  );
  expect(report(new SkeinError('peer-lost', '\u001B[2J'), true)).not.toContain('\u001B');
});

test('says what to do about any other', () => {
  expect(report(new TypeError('x is not a function'))).toMatch(/^error: x is not a function; .*--verbose.*\n$/);
});

test('adds stack and causes on request', () => {
  const text = report(new SkeinError('disk-failed', 'no room', { cause: new Error('ENOSPC') }), true);
  expect(text).toContain('error: no room\n');
  expect(text).toContain('report-error.test.ts');
  expect(text).toContain('ENOSPC');
});
