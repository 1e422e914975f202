import type { Card } from '@skein/protocol';
import { expect, test } from 'vitest';

import { findModel, meshModels } from './held-model.ts';

const model = 'a'.repeat(64);
const honest = { model, manifest: 'b'.repeat(64), name: 'llama', bytes: 1 };
const lie = { ...honest, manifest: 'c'.repeat(64) };

function card(peer: string, models: Card['models']): Card {
  return { peer, version: 1, roles: ['peer'], name: peer, software: 'skein', addresses: [], models, stages: [] };
}

test('takes the manifest that most peers have, however often one of them names its own', () => {
  const cards = [card('liar', [lie, lie, lie]), card('left', [honest]), card('right', [honest])];
  expect(meshModels(cards)).toEqual([{ ...honest, holders: ['left', 'right'] }]);
});

test('names a peer once among the holders', () => {
  expect(meshModels([card('twice', [honest, honest])])).toEqual([{ ...honest, holders: ['twice'] }]);
});

test('finds the model whose exact name is asked for, though another one has it in capitals', () => {
  const capital = { ...honest, model: 'd'.repeat(64), name: 'LLAMA' };
  const cards = [card('right', [capital, honest])];
  expect(findModel(cards, 'llama').model).toBe(model);
  expect(findModel(cards, 'LLAMA').model).toBe(capital.model);
  expect(() => findModel(cards, 'Llama')).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  expect(() => findModel(cards, 'alpaca')).toThrow(expect.objectContaining({ code: 'model-not-found' }));
});
