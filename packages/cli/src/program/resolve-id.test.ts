import { expect, test } from 'vitest';

import { resolveId } from './resolve-id.ts';

const attic = { id: '12D3KooWatticAAAAAA', name: 'attic' };
const cellar = { id: '12D3KooWcellarBBBBBB', name: 'cellar' };
const otherCellar = { id: '12D3KooWcellarCCCCCC', name: 'cellar' };
const members = [attic, cellar, otherCellar];
const resolve = (text: string) => resolveId(text, members, { kind: 'member', list: 'skein members' });

test.each([
  ['its id', cellar.id, cellar.id],
  ['its name', 'attic', attic.id],
  ['a start of the id', '12D3KooWattic', attic.id],
  ['an end of the id', 'BBBBBB', cellar.id],
  ['the end of the id as status prints it', '…BBBBBB', cellar.id],
  ['the same, typed', '...BBBBBB', cellar.id],
])('takes %s', (_, text, id) => {
  expect(resolve(text)).toBe(id);
});

test('lists all that a text may stand for', () => {
  expect(() => resolve('cellar')).toThrow(`cellar ${cellar.id}, cellar ${otherCellar.id}`);
  expect(() => resolve('12D3')).toThrow(/attic .*cellar .*cellar /);
});

test('takes a name that is the end of another id for neither', () => {
  const named = { id: '12D3KooWanother', name: 'BBBBBB' };
  expect(() => resolveId('BBBBBB', [cellar, named], { kind: 'member', list: 'skein members' })).toThrow(
    /several: cellar .*BBBBBB, BBBBBB .*another/,
  );
});

test.each([
  ['attica', 'not-found'],
  ['', 'invalid-request'],
  ['…', 'invalid-request'],
])('says where to look when "%s" is nobody', (text, code) => {
  expect(() => resolve(text)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining('skein members') }),
  );
});
