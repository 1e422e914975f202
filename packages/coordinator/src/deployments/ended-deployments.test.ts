import { expect, test } from 'vitest';

import { cardOf, heldStageOf, peerIdOf } from '../testing/fixtures.ts';
import { EndedDeployments } from './ended-deployments.ts';

const minuteMs = 60_000;

function setup() {
  const world = { now: 0, shown: [] as readonly string[] };
  const snapshot = () => [cardOf({ peer: peerIdOf(1), card: { stages: world.shown.map(heldStageOf) } })];
  return { world, ended: new EndedDeployments({ mesh: { cards: { snapshot } }, now: () => world.now }) };
}

test('forgets what ended more than a minute ago', () => {
  const { world, ended } = setup();
  ended.add('first', { wasTakenDown: false });
  world.now = minuteMs;
  ended.add('second', { wasTakenDown: false });
  expect([ended.has('first'), ended.has('second')]).toEqual([true, true]);
  world.now += 1;
  ended.add('third', { wasTakenDown: false });
  expect([ended.has('first'), ended.has('second')]).toEqual([false, true]);
});

test('knows what was taken down from what was lost', () => {
  const { ended } = setup();
  ended.add('lost', { wasTakenDown: false });
  ended.add('removed', { wasTakenDown: true });
  expect(['lost', 'removed', 'unknown'].map((id) => ended.wasTakenDown(id))).toEqual([false, true, false]);
});

test('remembers what a card still shows', () => {
  const { world, ended } = setup();
  ended.add('shown', { wasTakenDown: false });
  world.shown = ['shown'];
  world.now = 2 * minuteMs;
  ended.add('other', { wasTakenDown: false });
  expect(ended.has('shown')).toBe(true);
  world.shown = [];
  ended.add('another', { wasTakenDown: false });
  expect(ended.has('shown')).toBe(false);
});
