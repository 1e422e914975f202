import { PassThrough } from 'node:stream';

import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { createLogger } from './logger.ts';

function logged(isTTY: boolean): string {
  const stream = Object.assign(new PassThrough(), { isTTY });
  const logger = createLogger(stream, 'warn');
  logger.info({}, 'not shown');
  logger.warn({ peer: 'abc', addresses: ['/ip4/10.0.0.1/tcp/1'], reason: 'lost\n  again' }, "can't connect");
  return String(stream.read());
}

test('writes JSON where no person reads', () => {
  expect(JSON.parse(logged(false))).toMatchObject({ level: 40, peer: 'abc', msg: "can't connect" });
});

test('writes a readable line on a terminal', () => {
  expect(logged(true)).toMatch(
    /^\d\d:\d\d:\d\d warn: can't connect \(peer: abc, addresses: \["\/ip4\/10.0.0.1\/tcp\/1"\], reason: lost again\)\n$/,
  );
});

test('lets nothing of a field reach a terminal but text', () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true });
  createLogger(stream, 'warn').warn({ name: '\u001B[2Jattic', names: ['\u009B2J'] }, 'joined');
  expect(String(stream.read())).toMatch(/ warn: joined \(name: \[2Jattic, names: \["2J"\]\)\n$/);
});

function loggedError(error: unknown, level = 'warn'): unknown {
  const stream = new PassThrough();
  createLogger(stream, level).warn({ error }, 'failed');
  return (JSON.parse(String(stream.read())) as { readonly error: unknown }).error;
}

test('says of an error of ours what it is and why, and where only to who debugs', () => {
  const error = new SkeinError('disk-failed', "can't write", { cause: new Error('ENOSPC') });
  expect(loggedError(error)).toEqual({ code: 'disk-failed', message: "can't write: ENOSPC" });
  expect(loggedError(error, 'debug')).toMatchObject({ stack: expect.stringContaining('logger.test.ts') as string });
});

test.each([new TypeError('x is not a function'), new SkeinError('internal', 'a fault', { cause: new Error('x') })])(
  'says where a fault of Skein happened: %s',
  (error) => {
    expect(loggedError(error)).toMatchObject({ stack: expect.stringContaining('logger.test.ts') as string });
  },
);
