import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { drainPeer } from '@skein/mesh';
import { Cluster } from '@skein/mesh/testing';
import { expect, it } from 'vitest';

import { LeaseFence } from './lease-fence.ts';
import { PeerDrain } from './peer-drain.ts';

it('takes no stages from the moment that a coordinator says so, through restarts, until it says otherwise', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-drain-'));
  await using cluster = new Cluster();
  const mesh = await cluster.add([], { roles: ['peer'] });
  const coordinator = await cluster.add([mesh], { roles: ['coordinator'] });
  const client = await cluster.add([mesh], { roles: ['client'] });
  let changes = 0;
  const fence = new LeaseFence({ save: async () => undefined });
  const open = async () =>
    await PeerDrain.open({ mesh, fence, directory: directory.path, onChange: () => (changes += 1) });
  using _cards = mesh.answerFreshCards(async () => undefined);
  const refusal = expect.objectContaining({ code: 'no-peers' }) as Error;
  {
    using drain = await open();
    expect(() => drain.assertTakesStages()).not.toThrow();
    await expect(drainPeer(client, mesh.peerId, { draining: true })).rejects.toMatchObject({ code: 'not-permitted' });
    await drainPeer(coordinator, mesh.peerId, { draining: true });
    await drainPeer(coordinator, mesh.peerId, { draining: true });
    expect([drain.isDraining, changes]).toEqual([true, 1]);
    expect(() => drain.assertTakesStages()).toThrow(refusal);
  }
  {
    using drain = await open();
    expect(() => drain.assertTakesStages()).toThrow(refusal);
    await drainPeer(coordinator, mesh.peerId, { draining: false });
    expect(() => drain.assertTakesStages()).not.toThrow();
  }
  using drain = await open();
  expect(drain.isDraining).toBe(false);
});
