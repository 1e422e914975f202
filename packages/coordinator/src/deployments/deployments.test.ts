import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { encodeValue, silentLogger } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { cardOf, gibibyte, manifestOf, mebibyte } from '../testing/fixtures.ts';
import { manifestDigest, ScriptedPeer } from '../testing/scripted-peer.ts';
import { Deployments, type DeploymentsOptions } from './deployments.ts';
import type { DeploymentStatus } from './status.ts';

const manifest = manifestOf({ name: 'tiny', layers: 8 });
const never = new AbortController().signal;
let authority: Authority;
let mesh: Mesh;
let peers: ScriptedPeer[];
let deployments: Deployments;

/** A coordinator's mesh and two peers; the first holds the model. */
beforeEach(async () => {
  authority = await Authority.ephemeral();
  mesh = await createMesh({ ...(await authority.enroll(['coordinator'])), roles: ['coordinator'], mdns: false });
  await mesh.start();
  peers = [
    await ScriptedPeer.join({ authority, knows: [mesh], holds: [manifest], freeBytes: 4 * gibibyte }),
    await ScriptedPeer.join({ authority, knows: [mesh], freeBytes: 2 * gibibyte }),
  ];
  for await (const cards of mesh.cards.watch()) {
    if (cards.filter((card) => card.hardware !== undefined).length === peers.length) break;
  }
  deployments = newDeployments();
});

afterEach(async () => {
  await deployments.stop();
  await Promise.all([mesh, ...peers.map((peer) => peer.mesh)].map(async (member) => await member.stop()));
});

function newDeployments(options: DeploymentsOptions = {}): Deployments {
  let count = 0;
  const newId = () => `deployment-${(count += 1)}`;
  return new Deployments({ mesh, logger: silentLogger, newId, now: () => 1000 }, options);
}

function peer(index: number): ScriptedPeer {
  const found = peers[index];
  if (found === undefined) throw new Error(`there is no peer ${index}`);
  return found;
}

describe('deploying', () => {
  it('loads the whole model on its holder and relays progress', async () => {
    const states: DeploymentStatus[] = [];
    const status = await deployments.deploy({ model: 'tiny', onProgress: (state) => states.push(state) });
    expect(status).toMatchObject({
      id: 'deployment-1',
      model: manifest.model,
      name: 'tiny',
      state: 'ready',
      contextTokens: 2048,
      sequences: 4,
      stages: [{ peer: peer(0).mesh.peerId, state: 'ready', backend: 'cpu', fetchedBytes: 10, fileBytes: 20 }],
    });
    expect(peer(0).loads).toMatchObject([
      { model: manifest.model, manifest: manifestDigest(manifest), stage: 0, stages: 1, block: { from: 0, to: 8 } },
    ]);
    expect(states.map((state) => state.stages[0]?.progress)).toContainEqual({
      phase: 'fetch',
      doneBytes: 1,
      totalBytes: 2,
    });
    expect(deployments.list()).toEqual([status]);
  });

  it('connects the stages of a split model to a ring', async () => {
    const status = await deployments.deploy({ model: manifest.model, stages: 2, contextTokens: 512, threads: 2 });
    expect(status.stages.map((stage) => stage.state)).toEqual(['connected', 'connected']);
    expect(peer(0).nexts).toEqual([peer(1).mesh.peerId]);
    expect(peer(1).nexts).toEqual([peer(0).mesh.peerId]);
    expect(peer(1).loads).toMatchObject([
      { stages: 2, sources: [peer(0).mesh.peerId], contextTokens: 512, threads: 2 },
    ]);
    const stages = [peer(0), peer(1)].flatMap(({ loads }) => loads.map(({ stage }) => stage));
    expect(new Set(stages)).toEqual(new Set([0, 1]));
  });

  it('tells the stages how keys, values and hidden rows are kept, and shows it', async () => {
    const wish = { layers: [3, 5], cacheType: 'q8_0', activations: 'f16' } as const;
    const status = await deployments.deploy({ model: 'tiny', ...wish });
    expect(status).toMatchObject({ cacheType: 'q8_0', activations: 'f16' });
    expect(status.stages.map(({ block }) => block.to)).toEqual([3, 8]);
    const loads = peers.flatMap((one) => one.loads);
    expect(loads).toMatchObject([
      { cacheType: 'q8_0', activations: 'f16' },
      { cacheType: 'q8_0', activations: 'f16' },
    ]);
    const plain = await deployments.deploy({ model: 'tiny' });
    expect(plain).toMatchObject({ cacheType: 'f16', activations: 'f32' });
  });

  it('fails with what a stage failed with and takes the other stages down', async () => {
    peer(1).script = { fails: 'out of memory' };
    await expect(deployments.deploy({ model: 'tiny', stages: 2 })).rejects.toMatchObject({
      code: 'engine-failed',
      message: 'out of memory',
    });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
    expect(deployments.list()).toMatchObject([{ state: 'failed', error: { code: 'engine-failed' } }]);
    expect(deployments.mayServe('deployment-1')).toBe(false);
  });

  it('gives up on a stage that makes no progress', async () => {
    deployments = newDeployments({ timeouts: { loadStallMs: 50 } });
    peer(0).script = 'hang';
    await expect(deployments.deploy({ model: 'tiny' })).rejects.toMatchObject({ code: 'deadline-exceeded' });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
  });

  it('is taken down when its caller gives up', async () => {
    peer(0).script = 'hang';
    const caller = new AbortController();
    const onProgress = ({ stages }: DeploymentStatus) => {
      if (stages[0]?.progress !== undefined) caller.abort();
    };
    await expect(deployments.deploy({ model: 'tiny', signal: caller.signal, onProgress })).rejects.toMatchObject({
      code: 'aborted',
    });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
    expect(deployments.list()).toEqual([]);
  });

  it('refuses a manifest that is not the one in the card', async () => {
    peer(0).manifestBytes = encodeValue({ ...manifest, name: 'other' });
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

describe('ensuring that a model is deployed', () => {
  it('starts one deployment for all who ask at the same time', async () => {
    const routes = await Promise.all([1, 2, 3].map(async () => await deployments.ensure('tiny', { signal: never })));
    expect(new Set(routes.map((route) => route.deployment)).size).toBe(1);
    expect(routes[0]?.lead).toBe(peer(0).mesh.peerId);
    expect(peer(0).loads).toHaveLength(1);
  });

  it('uses the deployment that is there', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    expect(await deployments.ensure(manifest.model, { signal: never })).toMatchObject({ deployment: id });
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
    const failed = Promise.withResolvers<DeploymentStatus>();
    await deployments.deploy({
      model: 'tiny',
      stages: 2,
      contextTokens: 512,
      sequences: 2,
      onProgress: (status) => {
        if (status.state === 'failed') failed.resolve(status);
      },
    });
    await peer(1).mesh.stop();
    expect((await failed.promise).error?.code).toBe('peer-lost');
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
    // Scripted peers show no stages; of real ones, the deployments wait for the card to go.
    await vi.waitFor(() => expect(mesh.cards.snapshot()).toHaveLength(2), { timeout: 10_000 });
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    expect(deployments.list()).toMatchObject([{ id: 'deployment-2', state: 'ready', contextTokens: 512 }]);
    expect(peer(0).loads.at(-1)).toMatchObject({ stage: 0, stages: 1, sequences: 2 });
  });
});

describe('deploying anew what has failed', () => {
  const wish = { stages: 2, contextTokens: 512, sequences: 2, threads: 3 };

  /** Has a peer drop its stages, and waits until the coordinator knows. */
  async function lose(index: number): Promise<void> {
    for (const stage of peer(index).held) stage.abort();
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'failed' }]));
  }

  it('gives it what it had been asked for, however often', async () => {
    await deployments.deploy({ model: 'tiny', ...wish });
    for (const id of ['deployment-2', 'deployment-3']) {
      await lose(1);
      expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: id });
      expect(deployments.list()).toMatchObject([{ id, contextTokens: 512, sequences: 2 }]);
      expect(peer(1).loads.at(-1)).toMatchObject({ stages: 2, threads: 3 });
    }
  });

  it('leaves the context to its default when that much no longer fits', async () => {
    await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    await lose(0);
    const { hardware } = cardOf({ peer: peer(0).mesh.peerId, freeBytes: gibibyte });
    for (const { mesh: member } of peers) member.updateCard(hardware === undefined ? {} : { hardware });
    const hasShrunk = () => mesh.cards.snapshot().every((card) => (card.hardware?.freeMemoryBytes ?? 0) <= gibibyte);
    await vi.waitFor(() => expect(hasShrunk()).toBe(true));
    await deployments.ensure('tiny', { signal: never });
    expect(peer(0).loads.at(-1)).toMatchObject({ contextTokens: 2048 });
  });

  it('forgets what was asked for when it is taken down', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', ...wish });
    await deployments.undeploy(id);
    await deployments.ensure('tiny', { signal: never });
    expect(deployments.list()).toMatchObject([{ contextTokens: 2048, sequences: 4, stages: [{}] }]);
  });
});

describe('ensuring a model again after its lead has failed', () => {
  it('waits for the loss to be noticed, and deploys anew', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    const again = deployments.ensure('tiny', { signal: never, failed: [id] });
    for (const stage of peer(0).held) stage.abort();
    expect(await again).toMatchObject({ deployment: 'deployment-2' });
  });

  it('takes the same replica when that turns out to serve', async () => {
    deployments = newDeployments({ timeouts: { lossNoticeMs: 20 } });
    const { id } = await deployments.deploy({ model: 'tiny' });
    expect(await deployments.ensure('tiny', { signal: never, failed: [id, 'of-others-1'] })).toMatchObject({
      deployment: id,
    });
  });

  it('plans when the peers have let go of the lost stages', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    peer(0).showStages(id);
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    for (const stage of peer(0).held) stage.abort();
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id, state: 'failed' }]));
    const shown: number[] = [];
    const onProgress = () => shown.push(mesh.cards.snapshot().flatMap((card) => card.stages).length);
    const again = deployments.deploy({ model: 'tiny', onProgress });
    peer(0).showStages();
    expect(await again).toMatchObject({ id: 'deployment-2' });
    expect(shown[0]).toBe(0);
  });

  it('plans all the same when a peer shows a lost stage for too long', async () => {
    deployments = newDeployments({ timeouts: { letGoMs: 20 } });
    const { id } = await deployments.deploy({ model: 'tiny' });
    peer(0).showStages(id);
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    await deployments.undeploy(id);
    expect(await deployments.deploy({ model: 'tiny' })).toMatchObject({ id: 'deployment-2', state: 'ready' });
  });
});

describe('taking down', () => {
  it('has the peers let go of all stages', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    await deployments.undeploy(id);
    expect(peers.map(({ held }) => held.size)).toEqual([0, 0]);
    expect(deployments.list()).toEqual([]);
    expect(deployments.mayServe(id)).toBe(false);
  });

  it('refuses an id it does not know', async () => {
    await expect(deployments.undeploy('deployment-9')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('ends what is loading when it stops', async () => {
    peer(0).script = 'hang';
    const loading = deployments.deploy({ model: 'tiny' });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(1));
    await Promise.all([deployments.stop(), expect(loading).rejects.toMatchObject({ code: 'not-running' })]);
    expect(peer(0).held.size).toBe(0);
  });
});

it('plans around the memory of stages that are still loading', async () => {
  const large = manifestOf({ name: 'large', layers: 8, layerBytes: 150 * mebibyte });
  const holder = await ScriptedPeer.join({ authority, knows: [mesh], holds: [large], freeBytes: 2 * gibibyte });
  peers.push(holder);
  for await (const cards of mesh.cards.watch()) {
    if (cards.some((card) => card.models.some((model) => model.name === 'large'))) break;
  }
  holder.script = 'hang';
  const first = deployments.deploy({ model: 'large' });
  await vi.waitFor(() => expect(holder.loads).toHaveLength(1));
  const second = await deployments.deploy({ model: 'large' });
  expect(second.stages[0]?.peer).toBe(peer(0).mesh.peerId);
  await Promise.all([deployments.stop(), expect(first).rejects.toMatchObject({ code: 'not-running' })]);
});
