import { expect, it } from 'vitest';

import { EventLog } from './event-log.ts';

it('numbers events from 1, and gives those behind any of them', () => {
  const log = new EventLog('s', 100);
  expect(log.after(0)).toBe('');
  expect(log.append('a\n\n')).toBe('id: s:1\na\n\n');
  expect(log.append('b\n\n', 'mark')).toBe('id: s:2:mark\nb\n\n');
  expect(log.after(0)).toBe('id: s:1\na\n\nid: s:2:mark\nb\n\n');
  expect(log.after(1)).toBe('id: s:2:mark\nb\n\n');
  expect(log.after(2)).toBe('');
  expect(log.after(3)).toBeUndefined();
});

it('knows an event by its mark', () => {
  const log = new EventLog('s', 200);
  log.append('a\n\n', 'mark');
  const isOther = (number: number, mark?: string) => log.isOther({ stream: 's', number, mark });
  expect(isOther(1, 'mark')).toBe(false);
  expect(isOther(1, 'other')).toBe(true);
  expect(isOther(1)).toBe(false);
  expect(isOther(2, 'other')).toBe(false);
  log.clear();
  expect(isOther(1, 'other')).toBe(false);
});

it('forgets the oldest events beyond its size, and never gives a stream with a gap', () => {
  const log = new EventLog('s', 200);
  for (let number = 1; number <= 1000; number += 1) {
    log.append('0123456789');
    expect(log.characters).toBeLessThanOrEqual(200);
    expect(log.last).toBe(number);
    expect(log.after(number - 1)).toBe(`id: s:${number}\n0123456789`);
  }
  expect(log.after(980)).toBeUndefined();
  log.append('x'.repeat(201));
  expect(log.characters).toBe(0);
  expect(log.after(1000)).toBeUndefined();
  expect(log.after(1001)).toBe('');
});
