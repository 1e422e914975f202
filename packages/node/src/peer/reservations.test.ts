import { expect, test } from 'vitest';

import { reservationMs, Reservations } from './reservations.ts';

const holder = '12D3KooWAdaAdaAdaAda';
const first = { deployment: 'deployment-1', stage: 0, bytes: 6, lease: { epoch: 1, holder } };
const second = { deployment: 'deployment-2', stage: 0, bytes: 5, lease: { epoch: 1, holder } };

function clock() {
  const time = { nowMs: 0 };
  return { time, reservations: new Reservations(() => time.nowMs) };
}

test('keeps memory for one plan, so that another one does not get it', () => {
  const { reservations } = clock();
  reservations.reserve(first, 10);
  expect(reservations.bytes).toBe(6);
  expect(() => reservations.reserve(second, 10)).toThrow(expect.objectContaining({ code: 'does-not-fit' }));
  expect(reservations.end(first)).toBe(6);
  reservations.reserve(second, 10);
  expect(reservations.bytes).toBe(5);
});

test('ends by itself, by the clock of the peer', () => {
  const { time, reservations } = clock();
  reservations.reserve(first, 10);
  time.nowMs = reservationMs - 1;
  expect(reservations.bytes).toBe(6);
  time.nowMs = reservationMs;
  expect(reservations.bytes).toBe(0);
  expect(reservations.end(first)).toBe(0);
});

test('counts once what is reserved again', () => {
  const { time, reservations } = clock();
  reservations.reserve(first, 10);
  time.nowMs = reservationMs - 1;
  reservations.reserve({ ...first, bytes: 8 }, 10);
  time.nowMs = reservationMs;
  expect(reservations.bytes).toBe(8);
});

test('of an older epoch ends when a greater one is accepted, unless the new holder reserves it again', () => {
  const { reservations } = clock();
  const lease = { epoch: 2, holder };
  reservations.reserve(first, 20);
  reservations.reserve(second, 20);
  reservations.accept(lease);
  expect(reservations.bytes).toBe(0);
  reservations.reserve({ ...first, lease }, 20);
  reservations.accept(lease);
  expect(reservations.bytes).toBe(6);
});
