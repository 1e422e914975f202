import { type DeploymentStatus } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { tiny, TwoPeers } from '../testing/two-peers.ts';
import { ComingModel } from './coming-model.ts';
import type { Deployments } from './deployments.ts';

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

describe('ensuring that a model is deployed', () => {
  it('starts one deployment for all who ask at the same time', async () => {
    const routes = await Promise.all([1, 2, 3].map(async () => await deployments.ensure('tiny', { signal: never })));
    expect(new Set(routes.map((route) => route.deployment)).size).toBe(1);
    expect(routes[0]?.lead).toBe(world.peer(0).mesh.peerId);
    expect(world.peer(0).loads).toHaveLength(1);
  });

  it('uses the deployment that is there', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    expect(await deployments.ensure(tiny.model, { signal: never })).toMatchObject({ deployment: id });
  });

  it('ends the wait of a caller that gives up, but not the deployment', async () => {
    const caller = new AbortController();
    const left = deployments.ensure('tiny', { signal: caller.signal });
    const stayed = deployments.ensure('tiny', { signal: never });
    caller.abort();
    await expect(left).rejects.toMatchObject({ code: 'aborted' });
    expect(await stayed).toMatchObject({ deployment: 'deployment-1' });
  });

  it('deploys anew after a peer was lost, with the stages that the planner finds room for', async () => {
    await deployments.deploy({ model: 'tiny', stages: 2, contextTokens: 512, sequences: 2 });
    await world.peer(1).mesh.stop();
    // Scripted peers show no stages; of real ones, the deployments wait for the card to go.
    await vi.waitFor(() => expect(world.mesh.cards.snapshot()).toHaveLength(2), { timeout: 10_000 });
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    expect(deployments.list()).toMatchObject([{ id: 'deployment-2', state: 'ready', contextTokens: 512 }]);
    expect(world.peer(0).loads.at(-1)).toMatchObject({ stage: 0, stages: 1, spec: { sequences: 2 } });
  });
});

describe('deploying a model unless it is served', () => {
  const unlessServed = true;

  it('waits for the one that is coming, whoever began it, and shows its progress', async () => {
    const states: string[] = [];
    const onProgress = ({ state }: DeploymentStatus) => states.push(state);
    const all = await Promise.all([
      deployments.ensure('tiny', { signal: never }),
      deployments.deploy({ model: tiny.model }, { unlessServed, onProgress }),
      deployments.deploy({ model: 'TINY', sequences: 4 }, { unlessServed }),
    ]);
    expect(all).toMatchObject([{ deployment: 'deployment-1' }, { id: 'deployment-1' }, { id: 'deployment-1' }]);
    expect(new Set(states)).toEqual(new Set(['loading', 'ready']));
    expect(world.peer(0).loads).toHaveLength(1);
  });

  it('adds one where the one that is there is otherwise', async () => {
    await deployments.deploy({ model: 'tiny' });
    expect(await deployments.deploy({ model: 'tiny', stages: 1 }, { unlessServed })).toMatchObject({
      id: 'deployment-1',
    });
    expect(await deployments.deploy({ model: 'tiny', stages: 2 }, { unlessServed })).toMatchObject({
      id: 'deployment-2',
    });
  });

  it('leaves the one that others began alone when its caller gives up', async () => {
    const caller = new AbortController();
    const stayed = deployments.ensure('tiny', { signal: never });
    await vi.waitFor(() => expect(deployments.list()).toHaveLength(1));
    const left = deployments.deploy({ model: 'tiny' }, { unlessServed, signal: caller.signal });
    caller.abort();
    await expect(left).rejects.toMatchObject({ code: 'aborted' });
    expect(await stayed).toMatchObject({ deployment: 'deployment-1' });
  });
});

describe('requests for the model that this machine was started with', () => {
  it('wait until it is deployed, and are answered by that deployment', async () => {
    deployments = world.newDeployments({}, { coming: new ComingModel(['Tiny']) });
    const asked = [
      deployments.ensure('tiny', { signal: never }),
      deployments.ensure(tiny.model, { signal: never }),
      deployments.deploy({ model: 'tiny' }, { unlessServed: true }).then(({ id }) => ({ deployment: id })),
    ];
    const { id } = await deployments.deploy({ model: tiny.model, contextTokens: 512 });
    expect(await Promise.all(asked)).toMatchObject([{ deployment: id }, { deployment: id }, { deployment: id }]);
    expect(world.peer(0).loads).toMatchObject([{ spec: { contextTokens: 512 } }]);
  });

  it('are told to come again where that takes long', async () => {
    const coming = new ComingModel(['tiny']);
    deployments = world.newDeployments({ timeouts: { comingMs: 20 } }, { coming });
    await expect(deployments.ensure('tiny', { signal: never })).rejects.toMatchObject({
      code: 'no-peers',
      details: { retryAfterSeconds: 5 },
    });
    expect(world.peer(0).loads).toEqual([]);
    // It turns out to be another one of that name.
    coming.found('f'.repeat(64));
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-1' });
  });

  it('are told that it is to come while nobody holds it', async () => {
    deployments = world.newDeployments({}, { coming: new ComingModel(['huge']) });
    await expect(deployments.ensure('huge', { signal: never })).rejects.toMatchObject({ code: 'no-peers' });
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-1' });
  });
});

describe('ensuring a model again after its lead has failed', () => {
  it('waits for the loss to be noticed, and deploys anew', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    const again = deployments.ensure('tiny', { signal: never, failed: [id] });
    for (const stage of world.peer(0).held) stage.abort();
    expect(await again).toMatchObject({ deployment: 'deployment-2' });
  });

  it('takes another replica when the one that failed is not found lost', async () => {
    deployments = world.newDeployments({ timeouts: { lossNoticeMs: 20 } });
    const { id } = await deployments.deploy({ model: 'tiny' });
    expect(await deployments.ensure('tiny', { signal: never, failed: [id, 'of-others-1'] })).toMatchObject({
      deployment: 'deployment-2',
    });
    expect(await deployments.ensure('tiny', { signal: never, failed: [id] })).toMatchObject({
      deployment: 'deployment-2',
    });
  });

  it('plans when the peers have let go of the lost stages', async () => {
    const { deployment: id } = await deployments.ensure('tiny', { signal: never });
    world.peer(0).showStages(id);
    await vi.waitFor(() => expect(world.mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    for (const stage of world.peer(0).held) stage.abort();
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id, state: 'failed' }]));
    const shown: number[] = [];
    const onProgress = () => shown.push(world.mesh.cards.snapshot().flatMap((card) => card.stages).length);
    const again = deployments.deploy({ model: 'tiny' }, { onProgress });
    world.peer(0).showStages();
    expect(await again).toMatchObject({ id: 'deployment-2' });
    expect(shown[0]).toBe(0);
  });

  it('plans all the same when a peer shows a lost stage for too long', async () => {
    deployments = world.newDeployments({ timeouts: { releaseMs: 20 } });
    const { id } = await deployments.deploy({ model: 'tiny' });
    world.peer(0).showStages(id);
    await vi.waitFor(() => expect(world.mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    await deployments.undeploy(id);
    expect(await deployments.deploy({ model: 'tiny' })).toMatchObject({ id: 'deployment-2', state: 'ready' });
  });
});
