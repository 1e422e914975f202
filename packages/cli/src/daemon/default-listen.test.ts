import { expect, test } from 'vitest';

import { defaultListenJoin, defaultListenUp, isReachable } from './default-listen.ts';

test('lets nobody in from outside unless told to', () => {
  expect(isReachable(defaultListenUp)).toBe(false);
});

test('listens as far as the invite reaches', () => {
  expect(isReachable(defaultListenJoin(['/ip4/127.0.0.1/tcp/7330/p2p/x', '/ip6/::1/tcp/1']))).toBe(false);
  expect(isReachable(defaultListenJoin(['/ip4/127.0.0.1/tcp/7330', '/ip4/192.168.1.20/tcp/7330']))).toBe(true);
  expect(isReachable(defaultListenJoin(['/dns4/attic.local/tcp/7330']))).toBe(true);
});
