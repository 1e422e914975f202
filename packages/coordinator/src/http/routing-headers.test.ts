import { expect, test } from 'vitest';

import { parseRoutingHeaders } from './routing-headers.ts';

test('reads labels and the session', () => {
  expect(parseRoutingHeaders(new Headers())).toEqual({});
  const headers = new Headers({ 'X-Skein-Labels': 'zone=eu, class=confidential', 'X-Session-Id': 'a chat' });
  expect(parseRoutingHeaders(headers)).toEqual({ labels: { zone: 'eu', class: 'confidential' }, session: 'a chat' });
});

test.each([
  '',
  'zone',
  'zone=eu,',
  'Zone=eu',
  'zone=eu,zone=us',
  'zone=eu=us',
  '__proto__=x',
  'zone=eu,__proto__=x',
  `zone=${'x'.repeat(65)}`,
])('refuses labels that it would have to guess: "%s"', (labels) => {
  expect(() => parseRoutingHeaders(new Headers({ 'X-Skein-Labels': labels }))).toThrow('X-Skein-Labels');
});

test('refuses a session with a name that is too long', () => {
  expect(() => parseRoutingHeaders(new Headers({ 'X-Session-Id': 'x'.repeat(257) }))).toThrow('X-Session-Id');
});
