import { deploymentDefaults, encodeValue, machineName, type DeploymentStatus } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { gibibyte, manifestOf, mebibyte } from '../testing/fixtures.ts';
import { manifestDigest, ScriptedPeer } from '../testing/scripted-peer.ts';
import { tiny, TwoPeers } from '../testing/two-peers.ts';
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

describe('planning', () => {
  const asked = { model: 'tiny', contextTokens: 1024 };

  it('says where a model would be put, at what speed, and what else is possible, and puts it nowhere', async () => {
    const answer = await deployments.plan(asked, never);
    const [holder, other] = [world.peer(0).mesh.peerId, world.peer(1).mesh.peerId];
    expect(answer).toMatchObject({
      model: tiny.model,
      name: 'tiny',
      contextTokens: 1024,
      plan: {
        stages: [{ peer: holder, block: { from: 0, to: 8 }, devices: [{ device: 'main memory' }] }],
        prediction: { objective: 'saturated', sequences: 4, isMeasured: false },
      },
    });
    expect(answer.now).toBeUndefined();
    const [split] = answer.alternatives;
    expect(new Set(split?.stages.map((stage) => stage.peer))).toEqual(new Set([holder, other]));
    expect(deployments.list()).toEqual([]);
    expect(world.peers.flatMap(({ loads }) => loads)).toEqual([]);
  });

  it('says where several replicas would be put beside each other, and how many of them fit', async () => {
    const answer = await deployments.plan({ ...asked, contextTokens: 700_000, replicas: 4 }, never);
    const [holder, other] = [world.peer(0).mesh.peerId, world.peer(1).mesh.peerId];
    expect(answer).toMatchObject({
      plan: { stages: [{ peer: holder }], contextTokens: 700_000 },
      further: [{ stages: [{ peer: other }, { peer: holder }] }],
      together: { replicas: 2, asked: 4, machines: 2, sequences: 8 },
      problem: { code: 'does-not-fit' },
    });
    expect((await deployments.plan(asked, never)).together).toBeUndefined();
  });

  it('says what a machine more or less would change', async () => {
    const [holder, other] = [world.peer(0).mesh.peerId, world.peer(1).mesh.peerId];
    const without = await deployments.plan({ ...asked, remove: [holder] }, never);
    expect(without.plan?.stages).toMatchObject([{ peer: other }]);
    expect(without.now?.plan?.stages).toMatchObject([{ peer: holder }]);
    const gpus = [{ name: 'RTX 4090', memoryBytes: 24 * gibibyte }];
    const added = await deployments.plan({ ...asked, add: [{ name: 'new', memoryBytes: 64 * gibibyte, gpus }] }, never);
    expect(added.plan?.stages).toMatchObject([{ on: 'new', devices: [{ device: 'RTX 4090' }] }]);
    const nowhere = await deployments.plan({ ...asked, remove: [holder, other] }, never);
    expect(nowhere).toMatchObject({ problem: { code: 'no-peers' }, alternatives: [] });
    await expect(deployments.plan({ ...asked, remove: ['nobody'] }, never)).rejects.toThrow('no machine nobody');
  });

  it('puts all of a plan and of its alternatives on machines with the labels', async () => {
    const labels = { zone: 'eu' };
    const add = [
      { name: 'one', memoryBytes: 16 * gibibyte, labels },
      { name: 'two', memoryBytes: 16 * gibibyte, labels: { ...labels, room: 'attic' } },
      { name: 'other', memoryBytes: 64 * gibibyte, labels: { zone: 'us' } },
    ];
    const { plan, alternatives } = await deployments.plan({ ...asked, labels, add }, never);
    expect(['one', 'two']).toContain(plan?.stages[0]?.on);
    expect(alternatives.map(({ stages }) => stages.map(({ on }) => on).toSorted())).toEqual([['one', 'two']]);
  });
});

describe('deploying', () => {
  it('loads the whole model on its holder and relays progress', async () => {
    const states: DeploymentStatus[] = [];
    const status = await deployments.deploy({ model: 'tiny' }, { onProgress: (state) => states.push(state) });
    expect(status).toMatchObject({
      id: 'deployment-1',
      model: tiny.model,
      name: 'tiny',
      state: 'ready',
      contextTokens: 2048,
      sequences: 4,
      stages: [
        {
          peer: world.peer(0).mesh.peerId,
          state: 'ready',
          backend: 'cpu',
          fetchedBytes: 10,
          fileBytes: 20,
          placement: { backend: 'cpu', devices: [], cpuLayers: 8, fallbacks: [] },
        },
      ],
    });
    expect(world.peer(0).loads).toMatchObject([
      { manifest: manifestDigest(tiny), stage: 0, stages: 1, block: { from: 0, to: 8 } },
    ]);
    expect(world.peer(0).loads.map(({ spec }) => spec)).toEqual([
      { ...deploymentDefaults, model: tiny.model, contextTokens: 2048, microBatchRows: 128 },
    ]);
    expect(states.map((state) => state.stages[0]?.progress)).toContainEqual({
      phase: 'fetch',
      doneBytes: 1,
      totalBytes: 2,
    });
    expect(deployments.list()).toEqual([status]);
  });

  it('connects the stages of a split model to a ring', async () => {
    const status = await deployments.deploy({ model: tiny.model, stages: 2, contextTokens: 512, threads: 2 });
    expect(status.stages.map((stage) => stage.state)).toEqual(['connected', 'connected']);
    expect(world.peer(0).nexts).toEqual([world.peer(1).mesh.peerId]);
    expect(world.peer(1).nexts).toEqual([world.peer(0).mesh.peerId]);
    expect(world.peer(1).loads).toMatchObject([
      { stages: 2, sources: [world.peer(0).mesh.peerId], spec: { contextTokens: 512, threads: 2 } },
    ]);
    const stages = [world.peer(0), world.peer(1)].flatMap(({ loads }) => loads.map(({ stage }) => stage));
    expect(new Set(stages)).toEqual(new Set([0, 1]));
  });

  it('tells the stages how keys, values and hidden rows are kept, and shows it', async () => {
    const wish = { layers: [3, 5], cacheType: 'q8_0' as const, activations: 'f16' as const };
    const status = await deployments.deploy({ model: 'tiny', ...wish });
    expect(status).toMatchObject({ cacheType: 'q8_0', activations: 'f16' });
    expect(status.stages.map(({ block }) => block.to)).toEqual([3, 8]);
    const loads = world.peers.flatMap((one) => one.loads);
    expect(loads).toMatchObject([
      { spec: { cacheType: 'q8_0', activations: 'f16' } },
      { spec: { cacheType: 'q8_0', activations: 'f16' } },
    ]);
    const plain = await deployments.deploy({ model: 'tiny' });
    expect(plain).toMatchObject({ cacheType: 'f16', activations: 'f32' });
  });

  it('fails with what a stage failed with and takes the other stages down', async () => {
    world.peer(1).script = { fails: 'out of memory' };
    await expect(deployments.deploy({ model: 'tiny', stages: 2 })).rejects.toMatchObject({
      code: 'engine-failed',
      message: `${machineName(world.mesh.cards.snapshot(), world.peer(1).mesh.peerId)}: out of memory`,
    });
    await vi.waitFor(() => expect(world.peer(0).held.size).toBe(0));
    expect(deployments.list()).toMatchObject([{ state: 'failed', error: { code: 'engine-failed' } }]);
    expect(deployments.mayServe('deployment-1')).toBe(false);
  });

  it('is not the worse for an observer that throws', async () => {
    let told = 0;
    const onProgress = () => {
      told += 1;
      throw new Error('the fault of an observer');
    };
    expect(await deployments.deploy({ model: 'tiny' }, { onProgress })).toMatchObject({ state: 'ready' });
    expect(told).toBeGreaterThan(1);
  });

  it('shows how far a stage is for as long as it loads', async () => {
    const states: DeploymentStatus[] = [];
    const status = await deployments.deploy({ model: 'tiny' }, { onProgress: (state) => states.push(state) });
    const seen = states.flatMap(({ stages }) => stages.map((stage) => [stage.state, stage.progress !== undefined]));
    expect(seen).toContainEqual(['loading', true]);
    expect(status.stages[0]).not.toHaveProperty('progress');
  });

  it('gives up on a stage that makes no progress, and names its machine', async () => {
    deployments = world.newDeployments({ timeouts: { loadStallMs: 50 } });
    world.peer(0).script = 'hang';
    await expect(deployments.deploy({ model: 'tiny' })).rejects.toMatchObject({
      code: 'deadline-exceeded',
      message: expect.stringContaining(machineName(world.mesh.cards.snapshot(), world.peer(0).mesh.peerId)) as string,
    });
    await vi.waitFor(() => expect(world.peer(0).held.size).toBe(0));
  });

  it('is taken down when its caller gives up', async () => {
    world.peer(0).script = 'hang';
    const caller = new AbortController();
    const onProgress = ({ stages }: DeploymentStatus) => {
      if (stages[0]?.progress !== undefined) caller.abort();
    };
    await expect(deployments.deploy({ model: 'tiny' }, { signal: caller.signal, onProgress })).rejects.toMatchObject({
      code: 'aborted',
    });
    await vi.waitFor(() => expect(world.peer(0).held.size).toBe(0));
    expect(deployments.list()).toEqual([]);
  });

  it('refuses a manifest that is not the one in the card', async () => {
    world.peer(0).manifestBytes = encodeValue({ ...tiny, name: 'other' });
    await expect(deployments.deploy({ model: 'tiny' })).rejects.toMatchObject({
      code: 'model-unreachable',
      message: expect.stringContaining('expected the manifest') as string,
    });
  });

  it('names the models there are when the one asked for is not held', async () => {
    await expect(deployments.deploy({ model: 'huge' })).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringMatching(/tiny.*`skein pull <model>`/) as string,
    });
  });
});

it('plans around the memory of stages that are still loading', async () => {
  const large = manifestOf({ name: 'large', layers: 8, layerBytes: 150 * mebibyte });
  const holder = await ScriptedPeer.join({
    authority: world.authority,
    knows: [world.mesh],
    holds: [large],
    freeBytes: 2 * gibibyte,
  });
  world.peers.push(holder);
  for await (const cards of world.mesh.cards.watch()) {
    if (cards.some((card) => card.models.some((model) => model.name === 'large'))) break;
  }
  holder.script = 'hang';
  const first = deployments.deploy({ model: 'large' });
  await vi.waitFor(() => expect(holder.loads).toHaveLength(1));
  const second = await deployments.deploy({ model: 'large' });
  expect(second.stages[0]?.peer).toBe(world.peer(0).mesh.peerId);
  await Promise.all([deployments.stop(), expect(first).rejects.toMatchObject({ code: 'not-running' })]);
});
