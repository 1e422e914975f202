import type { Mesh } from '@skein/mesh';
import { invariant, methods, silentLogger, type Hardware } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { cardOf, gibibyte } from '../testing/fixtures.ts';
import type { ScriptedPeer } from '../testing/scripted-peer.ts';
import { TwoPeers } from '../testing/two-peers.ts';
import type { Deployments } from './deployments.ts';

let world: TwoPeers;
let deployments: Deployments;

beforeEach(async () => {
  world = await TwoPeers.start();
  deployments = world.newDeployments();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

describe('the memory of GPUs, which other programs may have taken since the last card', () => {
  /** Has a peer show one GPU with so much free, and its card reach the coordinator. */
  async function showGpu({ mesh: member }: ScriptedPeer, freeMemoryBytes: number): Promise<void> {
    member.updateCard({ hardware: withGpu(member, freeMemoryBytes) });
    await vi.waitFor(() => {
      const card = world.mesh.cards.snapshot().find((one) => one.peer === member.peerId);
      expect(card?.hardware?.gpus).toMatchObject([{ freeMemoryBytes }]);
    });
  }

  function withGpu(member: Mesh, freeMemoryBytes: number): Hardware {
    const { hardware } = cardOf({ peer: member.peerId, freeBytes: gibibyte });
    const gpus = [{ name: 'fake', memoryBytes: 24 * gibibyte, freeMemoryBytes }];
    return { ...invariant(hardware, 'a peer has hardware'), backend: 'cuda', gpus };
  }

  beforeEach(async () => {
    await showGpu(world.peer(0), 20 * gibibyte);
    await showGpu(world.peer(1), 8 * gibibyte);
  });

  it('is looked at again before a plan is made', async () => {
    // Another program has filled it: the next card would say so within a minute.
    world.peer(0).mesh.answerFreshCards(async () => {
      world.peer(0).mesh.updateCard({ hardware: withGpu(world.peer(0).mesh, gibibyte / 2) });
    });
    world.peer(1).mesh.answerFreshCards(async () => undefined);
    const { stages } = await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    expect(stages).toMatchObject([{ peer: world.peer(1).mesh.peerId }]);
  });

  it('is asked for once for plans that are made at the same time', async () => {
    let asked = 0;
    const both = Promise.withResolvers<void>();
    world.peer(0).mesh.answerFreshCards(async () => {
      asked += 1;
      await both.promise;
    });
    const all = [deployments.deploy({ model: 'tiny' }), deployments.deploy({ model: 'tiny' })];
    await vi.waitFor(() => expect(asked).toBe(1));
    both.resolve();
    await Promise.all(all);
    expect(asked).toBe(1);
    await deployments.deploy({ model: 'tiny' });
    expect(asked).toBe(2);
  });

  it('is as the last card says of a peer that does not answer in time, or that can not', async () => {
    const warnings: object[] = [];
    const logger = { ...silentLogger, warn: (fields: object) => void warnings.push(fields) };
    deployments = world.newDeployments({ timeouts: { freshCardMs: 1000 } }, { logger });
    // The other one is of a version that knows nothing of that.
    world.peer(0).mesh.handle(methods.freshCard, async (stream) => await stream.closed);
    const { stages } = await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    expect(stages).toMatchObject([{ peer: world.peer(0).mesh.peerId }]);
    expect(new Set(warnings)).toMatchObject(
      new Set([
        { peer: world.peer(1).mesh.peerId, code: 'not-running' },
        { peer: world.peer(0).mesh.peerId, code: 'deadline-exceeded' },
      ]),
    );
  });

  it('keeps nobody waiting who gives up', async () => {
    const asked = Promise.withResolvers<void>();
    world.peer(0).mesh.handle(methods.freshCard, async (stream) => {
      asked.resolve();
      await stream.closed;
    });
    const caller = new AbortController();
    const left = deployments.deploy({ model: 'tiny' }, { signal: caller.signal });
    await asked.promise;
    caller.abort();
    await expect(left).rejects.toMatchObject({ code: 'aborted' });
    expect(deployments.list()).toEqual([]);
  });
});
