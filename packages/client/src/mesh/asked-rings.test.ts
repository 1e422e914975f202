import { SkeinError } from '@skein/protocol';
import { EnginesAtRisk } from '@skein/serving';
import { expect, it } from 'vitest';

import { AskedRings } from './asked-rings.ts';

const error = new SkeinError('stage-lost', 'a stage was lost');
const failed = [{ deployment: 'split', lead: 'ada', error, hasAdded: true }];

/** A request to one replica, whose rings the test changes. */
function asked(...rings: readonly (readonly [string, number])[]) {
  const shown = new Map(rings);
  const engines = new EnginesAtRisk();
  const subject = new AskedRings({ ringsOf: () => shown }, engines);
  subject.add({ deployment: 'split', lead: 'ada' });
  engines.died('split', {});
  return { subject, shown, engines };
}

it('lets a request back to a split replica whose lost stage was replaced, and to no other one', () => {
  const { subject, shown, engines } = asked(['ada', 1]);
  expect(subject.stillLost(failed)).toEqual(failed);
  shown.clear();
  expect(subject.stillLost(failed)).toEqual(failed);
  expect(engines.enter('split')).toBeUndefined();
  shown.set('ada', 2);
  expect(subject.stillLost(failed)).toEqual([]);
  expect(engines.enter('split')).toBeDefined();
});

it('lets it back where the lead was replaced, on another machine', () => {
  const { subject, shown } = asked(['ada', 1]);
  shown.clear();
  shown.set('bob', 9);
  expect(subject.stillLost(failed)).toEqual([]);
});

it('keeps it away from one that has no ring', () => {
  expect(asked().subject.stillLost(failed)).toEqual(failed);
});
