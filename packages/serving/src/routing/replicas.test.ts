import { expect, test } from 'vitest';

import { cardOf, leadOf } from '../testing/cards.ts';
import { Replicas } from './replicas.ts';

const [ada, bob] = [
  { deployment: 'deployment-1', lead: 'ada' },
  { deployment: 'deployment-2', lead: 'bob' },
];
const cards = [
  cardOf('ada', { stages: [leadOf({ deployment: ada.deployment })] }),
  cardOf('bob', { stages: [leadOf({ deployment: bob.deployment })] }),
];

test('spreads requests that come together, before any card tells of them', () => {
  const replicas = new Replicas({ cards: () => cards });
  const taken = Array.from({ length: 4 }, () => replicas.take(replicas.choose({}) ?? ada));
  expect(taken.map(({ lead }) => lead)).toEqual(['ada', 'bob', 'ada', 'bob']);
});

test('counts each attempt until it is over, once', () => {
  const replicas = new Replicas({ cards: () => cards });
  const [first, second] = [replicas.take(ada), replicas.take(ada)];
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(replicas.choose({})).toEqual(bob);
  second[Symbol.dispose]();
  expect(replicas.choose({})).toEqual(ada);
});

test('does not count twice what the card tells of already', () => {
  const busy = [cardOf('ada', { stages: [leadOf({ active: 2, queued: 1 })] })];
  const replicas = new Replicas({ cards: () => busy });
  for (let count = 0; count < 3; count += 1) replicas.take(ada);
  expect(replicas.snapshot()[0]?.stages[0]).toMatchObject({ active: 2, queued: 1 });
  replicas.take(ada);
  expect(replicas.snapshot()[0]?.stages[0]).toMatchObject({ active: 3, queued: 1 });
});

test('leaves out what may not serve, and what the request has lost', () => {
  const replicas = new Replicas({ cards: () => cards, mayServe: (deployment) => deployment !== ada.deployment });
  expect(replicas.choose({})).toEqual(bob);
  expect(replicas.choose({ lost: new Set([bob.deployment]) })).toBeUndefined();
  expect(replicas.snapshot().flatMap(({ stages }) => stages.map(({ deployment }) => deployment))).toEqual([
    bob.deployment,
  ]);
});
