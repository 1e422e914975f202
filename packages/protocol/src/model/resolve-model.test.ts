import { expect, test } from 'vitest';

import { distinctNames, resolveModel } from './resolve-model.ts';

const [first, second, third] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const lower = { model: first, name: 'tiny' };
const upper = { model: second, name: 'TINY' };
const other = { model: third, name: 'smollm2-135m-instruct', aliases: ['smollm2'] };

test('takes the exact name before one in another case', () => {
  expect(resolveModel([upper, lower, other], 'tiny')).toBe(lower);
  expect(resolveModel([lower, upper, other], 'TINY')).toBe(upper);
});

test('takes a name in another case, an alias in any, and a hash', () => {
  expect(resolveModel([lower, other], 'Tiny')).toBe(lower);
  expect(resolveModel([lower, other], 'SmolLM2')).toBe(other);
  expect(resolveModel([lower, other], third)).toBe(other);
  expect(resolveModel([lower, other], third.toUpperCase())).toBe(other);
});

test('takes a name before an alias of another model', () => {
  const impostor = { model: second, name: 'else', aliases: ['tiny'] };
  expect(resolveModel([impostor, lower], 'tiny')).toBe(lower);
});

test('takes a hash for nothing but a hash, whatever others are called', () => {
  const impostor = { model: second, name: first, aliases: [third] };
  expect(resolveModel([impostor, lower], first)).toBe(lower);
  expect(resolveModel([impostor, lower], third)).toBeUndefined();
});

test('does not guess: neither what nobody is called, nor parts of names and hashes', () => {
  for (const reference of ['huge', 'tin', first.slice(0, 12), '']) {
    expect(resolveModel([lower, other], reference)).toBeUndefined();
  }
});

test('lists the hashes of all that a name may mean', () => {
  const namesake = { model: second, name: 'tiny' };
  const ambiguous = (reference: string) => () => resolveModel([lower, namesake, upper], reference);
  expect(ambiguous('tiny')).toThrow(expect.objectContaining({ code: 'invalid-request', details: { param: 'model' } }));
  expect(ambiguous('tiny')).toThrow(`${first}, ${second}; name one by its SHA-256`);
  expect(ambiguous('Tiny')).toThrow('several models are called Tiny');
});

test('tells models of one name apart by their hashes, which lead back to them', () => {
  const models = [lower, { model: second, name: 'tiny' }, other];
  const names = distinctNames(models);
  expect([...names.values()]).toEqual([first, second, other.name]);
  for (const model of models) expect(resolveModel(models, names.get(model.model) ?? '')).toBe(model);
});
