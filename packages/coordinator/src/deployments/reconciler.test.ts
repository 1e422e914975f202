import { isDeepStrictEqual } from 'node:util';

import type { DeploymentStatus } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { cardOf, gibibyte } from '../testing/fixtures.ts';
import { ScriptedPeer } from '../testing/scripted-peer.ts';
import { TwoPeers } from '../testing/two-peers.ts';
import type { Deployments } from './deployments.ts';
import { forgetful, type KeptState, type StateToKeep } from './desired-file.ts';

const never = new AbortController().signal;
let world: TwoPeers;
let deployments: Deployments;

beforeEach(async () => {
  world = await TwoPeers.start();
  deployments = world.newDeployments();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

describe('a deployment of several stages that loses one', () => {
  const loads = () => world.peers.map((one) => one.loads.map(({ stage }) => stage));

  it.each([0, 1])('has it loaded once more, and keeps the others (peer %i)', async (index) => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    const [before, nexts] = [loads(), world.peer(1 - index).nexts.length];
    world.lose(index);
    expect(await deployments.ensure('tiny', { signal: never, failed: [id] })).toMatchObject({ deployment: id });
    expect(deployments.list()).toMatchObject([{ id, state: 'ready' }]);
    expect(loads()[index]).toEqual([...(before[index] ?? []), ...(before[index] ?? [])]);
    expect(loads()[1 - index]).toEqual(before[1 - index]);
    expect(world.peer(1 - index).nexts).toHaveLength(nexts + 1);
  });

  it('has it loaded on another machine where its own is gone, and is kept with that', async () => {
    const { authority, mesh, peers } = world;
    const others = [mesh, ...peers.map((one) => one.mesh)];
    const saved: StateToKeep[] = [];
    deployments = world.newDeployments({}, { store: { ...forgetful, save: (state) => void saved.push(state) } });
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    const spare = await ScriptedPeer.join({ authority, knows: others, freeBytes: 2 * gibibyte });
    world.peers.push(spare);
    await world.untilShown((cards) => cards.filter(({ hardware }) => hardware !== undefined).length === 3);
    await world.peer(1).mesh.stop();
    await vi.waitFor(() => expect(spare.loads).toMatchObject([{ deployment: id, stage: 1 }]));
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id, state: 'ready' }]));
    const placed = { stages: [{ peer: world.peer(0).mesh.peerId }, { peer: spare.mesh.peerId }] };
    expect(saved.at(-1)).toMatchObject({ deployments: [{ id, placement: placed }] });
  });

  it('is placed anew, apart from its standby, where the lost one could only be loaded beside that', async () => {
    const { authority, mesh, peers } = world;
    const knows = [mesh, ...peers.map((one) => one.mesh)];
    peers.push(await ScriptedPeer.join({ authority, knows, freeBytes: 2 * gibibyte }));
    for (const peer of peers) peer.onKept = () => peer.showHeld();
    await world.untilShown((cards) => cards.filter(({ hardware }) => hardware !== undefined).length === 3);
    await deployments.deploy({ model: 'tiny', stages: 2 }, { scaling: { standby: 1 } });
    await world.untilShown((cards) => cards.some(({ stages }) => stages.some((stage) => stage.standby === true)));
    const free = peers.findIndex((peer) => peer.loads.some(({ standby }) => standby === true));
    const tail = peers.findIndex((peer) => peer.loads.some(({ stage }) => stage === 1));
    const standby = world.peer(free).loads[0]?.deployment;
    await world.peer(tail).mesh.stop();
    const stages = [{ peer: world.peer(3 - free - tail).mesh.peerId }];
    const apart = [
      { id: standby, isStandby: true },
      { state: 'ready', stages },
    ];
    await vi.waitFor(() => expect(deployments.list()).toMatchObject(apart));
    expect(world.peer(free).loads).toHaveLength(1);
  });
});

describe('a standby', () => {
  const facts = () => deployments.list().map(({ id, state, isStandby = false }) => ({ id, state, isStandby }));
  // The terms have an id, too.
  const standby = { id: 'deployment-3', state: 'ready', isStandby: true };

  beforeEach(async () => {
    for (const peer of world.peers) peer.onKept = () => peer.showHeld();
    const { id } = await deployments.deploy({ model: 'tiny' }, { scaling: { standby: 1 } });
    const both = [{ id, state: 'ready', isStandby: false }, standby];
    await vi.waitUntil(() => isDeepStrictEqual(facts(), both));
    await world.untilShown((cards) => cards.some(({ stages }) => stages.some((stage) => stage.standby === true)));
  });

  it('is loaded on another machine, and named as one in the status', () => {
    const loads = world.peers.map((peer) => peer.loads.map((load) => load.standby === true));
    expect(loads).toEqual([[false], [true]]);
    expect(deployments.list()).toMatchObject([{ standby: 1 }, { standby: 1 }]);
  });

  it('takes the place of a replica whose machine is gone, and another one waits for a machine', async () => {
    await world.peer(0).mesh.stop();
    await vi.waitFor(() => expect(world.peer(1).toServe).toEqual([standby.id]));
    const waiting = { id: expect.any(String) as string, state: 'waiting', isStandby: true };
    await vi.waitFor(() => expect(facts()).toEqual([{ ...standby, isStandby: false }, waiting]));
    expect(world.peer(1).loads).toHaveLength(1);
  });

  it('stays one where the replica is loaded anew', async () => {
    world.lose(0);
    const again = { id: 'deployment-4', state: 'ready', isStandby: false };
    await vi.waitFor(() => expect(facts()).toEqual([standby, again]));
    expect(world.peer(1).toServe).toEqual([]);
  });

  it('takes the place of a replica whose machine is drained', async () => {
    for (const peer of world.peers) peer.obeyDrains();
    const { moves } = await deployments.drain(world.peer(0).mesh.peerId);
    expect(moves).toMatchObject([{ id: 'deployment-1', step: 'gone' }]);
    await vi.waitFor(() => expect(facts()[0]).toEqual({ ...standby, isStandby: false }));
    expect(world.peer(1).loads).toHaveLength(1);
  });

  it('goes when it is taken down by hand, and no other one comes', async () => {
    await deployments.undeploy(standby.id);
    expect(deployments.list()).toMatchObject([{ id: 'deployment-1', pinned: false }]);
    expect(deployments.list()[0]).not.toHaveProperty('standby');
  });
});

describe('deploying anew what was lost', () => {
  const wish = { stages: 2, contextTokens: 512, sequences: 2, threads: 3 };
  /** Makes all peers drop their stages. */
  const loseAll = (): void => [0, 1].forEach((index) => world.lose(index));

  it('happens by itself, with what it had been asked for', async () => {
    await deployments.deploy({ model: 'tiny', ...wish });
    loseAll();
    const again = { id: 'deployment-2', state: 'ready', contextTokens: 512, sequences: 2 };
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([again]));
    expect(world.peer(1).loads.at(-1)).toMatchObject({ stages: 2, spec: { threads: 3 } });
  });

  it('takes its time with one that is lost again and again, unless a request comes', async () => {
    await deployments.deploy({ model: 'tiny', ...wish });
    loseAll();
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id: 'deployment-2', state: 'ready' }]));
    loseAll();
    await vi.waitFor(() => expect(deployments.list().map(({ state }) => state)).toContain('waiting'));
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-3' });
  });

  it('leaves the context to its default when that much no longer fits', async () => {
    await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    const { hardware } = cardOf({ peer: world.peer(0).mesh.peerId, freeBytes: gibibyte });
    for (const { mesh: member } of world.peers) member.updateCard(hardware === undefined ? {} : { hardware });
    const hasShrunk = () =>
      world.mesh.cards.snapshot().every((card) => (card.hardware?.freeMemoryBytes ?? 0) <= gibibyte);
    await vi.waitFor(() => expect(hasShrunk()).toBe(true));
    world.lose(0);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'ready', contextTokens: 2048 }]));
    expect(world.peer(0).loads.at(-1)).toMatchObject({ spec: { contextTokens: 2048 } });
  });

  it('is left to the next request where a request had made it', async () => {
    await deployments.ensure('tiny', { signal: never });
    world.lose(0);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id: 'deployment-1', state: 'failed' }]));
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    expect(deployments.list()).toMatchObject([{ id: 'deployment-2' }]);
  });

  it('forgets what was asked for when it is taken down', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', ...wish });
    await deployments.undeploy(id);
    await deployments.ensure('tiny', { signal: never });
    expect(deployments.list()).toMatchObject([{ contextTokens: 2048, sequences: 4, stages: [{}] }]);
  });
});

describe('a deployment that waits for a machine', () => {
  const request = { model: 'tiny', stages: 3, contextTokens: 512 };

  it('says what it waits for, is got around by no request, and comes when the machine does', async () => {
    const seen: string[] = [];
    const onProgress = ({ state, error }: DeploymentStatus) => seen.push(`${state} ${error?.code}`);
    const waiting = deployments.deploy(request, { wait: true, onProgress });
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'waiting', name: 'tiny' }]));
    await expect(deployments.ensure('tiny', { signal: never })).rejects.toMatchObject({
      code: 'no-peers',
      message: expect.stringMatching(/tiny is to be deployed as it was asked for, and waits: .*3/) as string,
      details: { retryAfterSeconds: 5 },
    });
    expect(world.peers.flatMap(({ loads }) => loads)).toEqual([]);
    world.peers.push(
      await ScriptedPeer.join({
        authority: world.authority,
        knows: [world.mesh, ...world.peers.map((one) => one.mesh)],
      }),
    );
    expect(await waiting).toMatchObject({ id: 'deployment-1', state: 'ready', contextTokens: 512 });
    expect(seen).toContain('waiting no-peers');
  });

  it('waits on when its caller leaves, and is the one that the next caller gets', async () => {
    const caller = new AbortController();
    const left = deployments.deploy(request, { wait: true, signal: caller.signal });
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'waiting' }]));
    caller.abort();
    await expect(left).rejects.toMatchObject({ code: 'aborted' });
    await expect(deployments.deploy(request)).rejects.toMatchObject({ code: 'no-peers' });
    const again = deployments.deploy(request, { wait: true, unlessServed: true });
    world.peers.push(
      await ScriptedPeer.join({
        authority: world.authority,
        knows: [world.mesh, ...world.peers.map((one) => one.mesh)],
      }),
    );
    expect(await again).toMatchObject({ id: 'deployment-1' });
    expect(deployments.list()).toHaveLength(1);
  });
});

describe('a coordinator that starts again', () => {
  let kept: KeptState;
  let count: number;
  const store = {
    load: () => Promise.resolve(kept),
    save: ({ deployments: list, scaling }: StateToKeep) => {
      kept = { deployments: list.map((one) => ({ ...one, patience: 'all' })), scaling };
    },
    saved: () => Promise.resolve(),
  };

  /** Starts a coordinator with what the last one has kept. */
  async function start(): Promise<void> {
    const newId = () => `deployment-${(count += 1)}`;
    deployments = world.newDeployments({}, { newId, store });
    await deployments.start();
  }

  beforeEach(async () => {
    kept = { deployments: [], scaling: [] };
    count = 0;
    await start();
  });

  it('takes over what still runs, and loads nothing', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2, contextTokens: 512 });
    const before = deployments.list();
    await deployments.stop();
    for (const one of world.peers) one.showHeld();
    await vi.waitFor(() => expect(world.mesh.cards.snapshot().flatMap(({ stages }) => stages)).toHaveLength(2));
    await start();
    expect(deployments.mayServe(id)).toBe(true);
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: id });
    expect(deployments.list()).toEqual(before);
    expect(world.peers.map(({ loads }) => loads.length)).toEqual([1, 1]);
    await deployments.undeploy(id);
    expect(world.peers.flatMap(({ kept: left }) => [...left])).toEqual([]);
  });

  it('brings back what is gone, under the same id', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await deployments.stop();
    await start();
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: id });
    expect(world.peer(0).loads).toHaveLength(2);
    await deployments.undeploy(id);
    await deployments.stop();
    await start();
    expect(deployments.list()).toEqual([]);
  });

  it('has peers release what they still hold of a deployment that was replaced meanwhile', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    world.peer(0).cutLinks();
    world.peer(0).showHeld();
    await vi.waitFor(() => expect([...world.peer(0).kept.keys()]).not.toContain(`${id}/0`));
  });
});
