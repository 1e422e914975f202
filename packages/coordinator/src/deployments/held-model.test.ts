import type { Absent, Mesh } from '@skein/mesh';
import type { Card } from '@skein/protocol';
import { expect, test } from 'vitest';

import { findHeldModel, meshModels } from './held-model.ts';

const model = 'a'.repeat(64);
const honest = { model, manifest: 'b'.repeat(64), name: 'llama', bytes: 1 };
const lie = { ...honest, manifest: 'c'.repeat(64) };

function card(peer: string, models: Card['models']): Card {
  return { peer, version: 1, roles: ['peer'], name: peer, software: 'skein', addresses: [], models, stages: [] };
}

function meshOf(
  cards: readonly Card[],
  absent: Absent = { lost: [], isGathering: false },
): Pick<Mesh, 'cards' | 'absent'> {
  return {
    absent: () => absent,
    cards: { snapshot: () => cards, onChange: () => () => undefined, watch: () => expect.fail('nobody watches') },
  };
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
  const mesh = meshOf([card('right', [capital, honest])]);
  expect(findHeldModel(mesh, 'llama')).toEqual({ ...honest, holders: ['right'] });
  expect(findHeldModel(mesh, 'LLAMA').model).toBe(capital.model);
  expect(() => findHeldModel(mesh, 'Llama')).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  expect(() => findHeldModel(mesh, 'alpaca')).toThrow(expect.objectContaining({ code: 'model-not-found' }));
});

test('does not find a model of which stages alone are left', () => {
  const place = { stage: 0, stages: 1, block: { from: 0, to: 8 }, state: 'ready' as const, contextTokens: 64 };
  const load = { sequences: 1, bytes: 0, active: 0, queued: 0 };
  const stage = { deployment: 'deployment-1', model, name: 'llama', ...place, ...load };
  const served = { ...card('lead', []), stages: [stage] };
  expect(() => findHeldModel(meshOf([served]), 'llama')).toThrow(expect.objectContaining({ code: 'model-not-found' }));
  const lost = { lost: [card('holder', [honest])], isGathering: false };
  expect(() => findHeldModel(meshOf([served], lost), 'llama')).toThrow(expect.objectContaining({ code: 'no-peers' }));
});
