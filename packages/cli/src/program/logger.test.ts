import { PassThrough } from 'node:stream';

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
