import { expect, test } from 'vitest';

import { TrafficCounter } from './traffic.ts';

test('adds up what all remotes sent, and tells those apart that were seen last', () => {
  const counter = new TrafficCounter();
  const first = counter.meter('first');
  first.sent(1);
  for (let remote = 0; remote < 2000; remote += 1) counter.meter(`client ${remote}`).received(10);
  // Its stream is open still.
  first.sent(1);
  const { total, peers } = counter.snapshot();
  expect(total).toEqual({ sentBytes: 2, receivedBytes: 20_000 });
  expect(peers.size).toBe(1024);
  expect(peers.get('client 1999')).toEqual({ sentBytes: 0, receivedBytes: 10 });
  expect(peers.has('first')).toBe(false);
});

test('counts for one remote together, whatever stream it was', () => {
  const counter = new TrafficCounter();
  counter.meter('one').sent(1);
  counter.meter('one').sent(2);
  expect(counter.snapshot().peers).toEqual(new Map([['one', { sentBytes: 3, receivedBytes: 0 }]]));
});
