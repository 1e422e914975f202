import { methods } from '@skein/protocol';
import { expect, test, vi } from 'vitest';

import { Cluster, untilCards } from '../testing/cluster.ts';
import { hearsAll } from './hears-all.ts';

test.each([
  ['that says nothing of it', undefined, 3, false],
  ['that lacks a connection', { connected: 2 }, 3, false],
  ['that is connected to all', { connected: 3 }, 3, true],
  ['that sees more than we do', { connected: 4 }, 3, true],
])('a member %s', (_name, card, present, expected) => {
  expect(hearsAll(card, present)).toBe(expected);
});

test('passes on what shows that a member lives to those who can not be connected to it', async () => {
  await using cluster = new Cluster();
  const hub = await cluster.add();
  // Neither can be dialled, so both are connected to the hub alone.
  const near = await cluster.add([hub], { listen: [] });
  const far = await cluster.add([hub], { listen: [] });
  await untilCards(far, (cards) => cards.length === 3);
  const versionSeen = (): number => far.cards.snapshot().find(({ peer }) => peer === near.peerId)?.version ?? 0;
  const first = versionSeen();
  await vi.waitFor(() => expect(versionSeen()).toBeGreaterThan(first), { timeout: 10_000 });
  await expect(far.open(near.peerId, methods.manifest)).rejects.toMatchObject({ code: 'peer-lost' });
});
