import { expect, test } from 'vitest';

import { cardOf, leadOf, modelOf, tiny } from '../testing/cards.ts';
import { meshCatalog } from './mesh-catalog.ts';

const [first, second, third] = [tiny.model, 'b'.repeat(64), 'c'.repeat(64)];

test('lists what is held and what is served once each, with all names that members have for it', () => {
  const held = modelOf();
  const stage = leadOf({ model: second, name: 'gone' });
  const cards = [
    cardOf('ada', { models: [{ ...held, name: 'mine', aliases: ['hf:owner/tiny/tiny.gguf'] }] }),
    cardOf('bob', { models: [held], stages: [stage, { ...stage, model: third, state: 'loading' }] }),
    cardOf('cyd', { models: [held], stages: [leadOf()] }),
  ];
  expect(meshCatalog(cards)).toEqual([
    { model: second, name: 'gone', aliases: [], bytes: undefined, isServed: true },
    { model: first, name: 'tiny', aliases: ['mine', 'hf:owner/tiny/tiny.gguf'], bytes: 7, isServed: true },
  ]);
});

test('says what speaks against a model when all who hold it do', () => {
  const held = modelOf();
  const refused = { ...held, unusable: 'is broken' };
  const holders = (...models: (typeof held)[]) => models.map((model, index) => cardOf(`${index}`, { models: [model] }));
  expect(meshCatalog(holders(refused, refused))).toMatchObject([{ name: 'tiny', unusable: 'is broken' }]);
  expect(meshCatalog(holders(refused, held, refused))[0]?.unusable).toBeUndefined();
  expect(meshCatalog(holders(held, refused))[0]?.unusable).toBeUndefined();
});
