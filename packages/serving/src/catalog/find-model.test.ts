import type { Absent } from '@skein/mesh';
import { SkeinError, type Card } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { cardOf, modelOf } from '../testing/cards.ts';
import { findModel } from './find-model.ts';
import { meshCatalog } from './mesh-catalog.ts';

const [tiny, gone] = [modelOf(), modelOf({ name: 'gone', model: 'b'.repeat(64) })];
const there: readonly Card[] = [cardOf('ada', { models: [tiny] })];
const lost = [cardOf('bob', { models: [tiny, gone], name: 'workstation' })];
const settled: Absent = { lost: [], isGathering: false };

/** The error for a reference, or the name that was found. */
function find(reference: string, absent: Absent): SkeinError | string {
  try {
    return findModel({ models: meshCatalog(there), absent }, reference).name;
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
}

describe('a model that nobody shows', () => {
  it('is not found once all members are there', () => {
    expect(find('gone', settled)).toMatchObject({ code: 'model-not-found', details: { param: 'model' } });
  });

  it('is away, with a time to ask again, while the member that holds it was just lost', () => {
    const away = { ...settled, lost };
    expect(find('gone', away)).toMatchObject({
      code: 'no-peers',
      retryable: true,
      message: expect.stringContaining('workstation') as string,
      details: { param: 'model', retryAfterSeconds: 5 },
    });
    const named = expect.stringMatching(/^workstation, which holds gone, /) as string;
    expect(find(gone.model, away)).toMatchObject({ code: 'no-peers', message: named });
    expect(find('unheard-of', away)).toMatchObject({ code: 'model-not-found' });
  });

  it('may be with a member that has not been met yet', () => {
    expect(find('unheard-of', { ...settled, isGathering: true })).toMatchObject({
      code: 'no-peers',
      details: { retryAfterSeconds: 2 },
    });
  });
});

it('says that a model which is just being got is to come', () => {
  const view = { models: meshCatalog(there), absent: settled, awaited: new Set(['gone', 'tiny']) };
  expect(() => findModel(view, 'Gone')).toThrow(
    expect.objectContaining({ code: 'no-peers', details: { param: 'model', retryAfterSeconds: 5 } }),
  );
  expect(() => findModel(view, 'unheard-of')).toThrow(expect.objectContaining({ code: 'model-not-found' }));
  expect(findModel(view, 'tiny').name).toBe('tiny');
});

it('finds what is there, whoever is missing', () => {
  expect(find('tiny', { lost, isGathering: true })).toBe('tiny');
});

it('refuses what is held but can not generate, and says why', () => {
  const unusable = "can't generate text: it makes embeddings";
  const models = there.flatMap((card) => card.models.map((held) => ({ ...held, unusable })));
  const held = there.map((card) => ({ ...card, models }));
  const view = { models: meshCatalog(held), absent: settled };
  for (const reference of ['tiny', 'TINY', tiny.model]) {
    expect(() => findModel(view, reference)).toThrow(
      expect.objectContaining({ code: 'model-invalid', message: `tiny ${unusable}` }),
    );
  }
  expect(() => findModel(view, 'other')).toThrow(/the mesh holds no model yet/);
});
