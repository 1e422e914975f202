import { EventEmitter } from 'node:events';

import { expect, test } from 'vitest';

import { Interruption } from './interruption.ts';

function setup() {
  const process = new EventEmitter() as EventEmitter & Pick<NodeJS.Process, 'on' | 'off'>;
  const exits: number[] = [];
  const clock = { nowMs: 0 };
  const interruption = new Interruption({ process, exit: (code) => exits.push(code), nowMs: () => clock.nowMs });
  return { process, exits, clock, interruption };
}

test.each([
  ['SIGINT', 130],
  ['SIGBREAK', 130],
  ['SIGTERM', 143],
])('stops in order at the first %s', (name, code) => {
  const { process, exits, interruption } = setup();
  process.emit(name, name);
  expect(interruption.signal.reason).toMatchObject({ code: 'aborted' });
  expect(interruption.exitCode).toBe(code);
  expect(exits).toEqual([]);
});

test('ends at once at the second Ctrl-C', () => {
  const { process, exits, clock } = setup();
  process.emit('SIGINT', 'SIGINT');
  clock.nowMs = 1000;
  process.emit('SIGINT', 'SIGINT');
  expect(exits).toEqual([130]);
});

test('takes one Ctrl-C that arrives by several ways as one', () => {
  const { process, exits, clock } = setup();
  process.emit('SIGINT', 'SIGINT');
  clock.nowMs = 5;
  process.emit('SIGINT', 'SIGINT');
  expect(exits).toEqual([]);
});

test('leaves the process as it was when disposed', () => {
  const { process, interruption } = setup();
  interruption[Symbol.dispose]();
  expect(process.listenerCount('SIGINT')).toBe(0);
});
