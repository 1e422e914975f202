import type { Card, HeldStage } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, leadOf, tiny } from '../testing/cards.ts';
import { chooseLead } from './least-loaded-lead.ts';

const sha256 = tiny.model;
const card = (peer: string, stage: Partial<HeldStage>): Card => cardOf(peer, { stages: [leadOf(stage)] });

test('picks the lead with the least work for its size', () => {
  const cards = [
    card('a', { active: 2 }),
    card('b', { active: 1, queued: 2 }),
    card('c', { active: 3, sequences: 16 }),
    card('d', { active: 0, queued: 1 }),
  ];
  expect(chooseLead(cards, {})?.peer).toBe('c');
});

test('breaks ties by peer id, whatever the order of the cards', () => {
  const cards = [card('b', { active: 1 }), card('a', { active: 1 }), card('c', { active: 1 })];
  expect(chooseLead(cards, {})?.peer).toBe('a');
  expect(chooseLead(cards.toReversed(), {})?.peer).toBe('a');
});

test('finds a model by its hash, whatever others are called', () => {
  const cards = [card('a', { name: sha256, model: 'b'.repeat(64), deployment: 'deployment-2' }), card('b', {})];
  expect(chooseLead(cards, { model: sha256 })?.peer).toBe('b');
  expect(chooseLead(cards, { model: 'tiny' })).toBeUndefined();
});

test('takes a preferred lead before less loaded ones, unless it serves no longer or is excluded', () => {
  const cards = [card('a', {}), card('b', { active: 3 })];
  const prefer = { deployment: 'deployment-1', lead: 'b' };
  expect(chooseLead(cards, { prefer })?.peer).toBe('b');
  expect(chooseLead(cards, { prefer, exclude: [prefer] })?.peer).toBe('a');
  expect(chooseLead(cards, { prefer, model: sha256 })?.peer).toBe('b');
  expect(chooseLead([card('a', {}), card('b', { state: 'loading' })], { prefer })?.peer).toBe('a');
});

test('passes over leads that are not wanted, but not over others of the same peer or deployment', () => {
  const cards = [card('a', {}), card('a', { deployment: 'deployment-2', active: 1 }), card('b', { active: 2 })];
  const first = { deployment: 'deployment-1', lead: 'a' };
  expect(chooseLead(cards, { exclude: [first] })).toMatchObject({ peer: 'a', stage: { deployment: 'deployment-2' } });
  const second = { deployment: 'deployment-2', lead: 'a' };
  expect(chooseLead(cards, { exclude: [first, second] })?.peer).toBe('b');
  expect(chooseLead(cards, { exclude: [first, second, { ...first, lead: 'b' }] })).toBeUndefined();
});

test('passes over later stages and leads that are not ready', () => {
  const cards = [card('a', { stage: 1, stages: 2 }), card('b', { state: 'loading' }), card('c', { state: 'draining' })];
  expect(chooseLead(cards, {})).toBeUndefined();
  expect(chooseLead([], {})).toBeUndefined();
});
