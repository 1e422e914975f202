import { expect, test } from 'vitest';

import { machineName } from './machine-name.ts';

const attic = { peer: '12D3KooWattic123456', name: 'attic' };

test('names a machine as people call it, and by the end of its id', () => {
  expect(machineName([{ peer: '12D3KooWcellar', name: 'cellar' }, attic], attic.peer)).toBe('attic (…123456)');
});

test('names a machine by the end of its id when its card is not there', () => {
  expect(machineName([], attic.peer)).toBe('…123456');
});

test('lets no name rewrite a terminal', () => {
  expect(machineName([{ ...attic, name: '\u001b[2Jattic\n' }], attic.peer)).toBe('[2Jattic (…123456)');
});
