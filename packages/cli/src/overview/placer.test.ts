import type { Card } from '@skein/protocol';
import { expect, test } from 'vitest';

import { placerOf } from './placer.ts';

const [ada, bob] = ['12D3KooWAdaAdaAdaAda', '12D3KooWBobBobBobBob'] as const;

function card(peer: string, epoch: number, holder: string): Card {
  const lease = { epoch, holder, isHolderSeen: true };
  const content = { version: 1, software: 'skein', addresses: [], models: [], stages: [] };
  return { ...content, peer, name: `machine of ${peer.slice(8, 11)}`, roles: ['coordinator'], lease };
}

test('names the coordinator that claims the greatest lease', () => {
  expect(placerOf([])).toBeUndefined();
  expect(placerOf([card(ada, 3, bob)])).toBeUndefined();
  const both = [card(ada, 2, ada), card(bob, 3, bob)];
  expect(placerOf(both)).toEqual({ peer: bob, name: 'machine of Bob', epoch: 3 });
});
