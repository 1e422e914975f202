import { Authority, createMesh, type Mesh } from '@skein/mesh';
import {
  deploymentDefaults,
  type DeploymentStatus,
  encodeValue,
  invariant,
  machineName,
  methods,
  packPrompt,
  silentLogger,
  type Hardware,
  type Logger,
} from '@skein/protocol';
import { generate, type GenerationUpdate } from '@skein/serving';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { cardOf, gibibyte, manifestOf, mebibyte } from '../testing/fixtures.ts';
import { manifestDigest, ScriptedPeer } from '../testing/scripted-peer.ts';
import { ComingModel } from './coming-model.ts';
import { Deployments, type DeploymentsOptions } from './deployments.ts';
import type { DesiredDeployment, WantedDeployment } from './desired-state.ts';

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

function newDeployments(
  options: DeploymentsOptions = {},
  coming?: ComingModel,
  logger: Logger = silentLogger,
): Deployments {
  let count = 0;
  const newId = () => `deployment-${(count += 1)}`;
  return new Deployments({ mesh, logger, newId, now: () => 1000, coming }, options);
}

function peer(index: number): ScriptedPeer {
  const found = peers[index];
  if (found === undefined) throw new Error(`there is no peer ${index}`);
  return found;
}

describe('planning', () => {
  const asked = { model: 'tiny', contextTokens: 1024 };

  it('says where a model would be put, at what speed, and what else is possible, and puts it nowhere', async () => {
    const answer = await deployments.plan(asked, never);
    const [holder, other] = [peer(0).mesh.peerId, peer(1).mesh.peerId];
    expect(answer).toMatchObject({
      model: manifest.model,
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
    expect(peers.flatMap(({ loads }) => loads)).toEqual([]);
  });

  it('says what a machine more or less would change', async () => {
    const [holder, other] = [peer(0).mesh.peerId, peer(1).mesh.peerId];
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
});

describe('deploying', () => {
  it('loads the whole model on its holder and relays progress', async () => {
    const states: DeploymentStatus[] = [];
    const status = await deployments.deploy({ model: 'tiny' }, { onProgress: (state) => states.push(state) });
    expect(status).toMatchObject({
      id: 'deployment-1',
      model: manifest.model,
      name: 'tiny',
      state: 'ready',
      contextTokens: 2048,
      sequences: 4,
      stages: [
        {
          peer: peer(0).mesh.peerId,
          state: 'ready',
          backend: 'cpu',
          fetchedBytes: 10,
          fileBytes: 20,
          placement: { backend: 'cpu', devices: [], cpuLayers: 8, fallbacks: [] },
        },
      ],
    });
    expect(peer(0).loads).toMatchObject([
      { manifest: manifestDigest(manifest), stage: 0, stages: 1, block: { from: 0, to: 8 } },
    ]);
    expect(peer(0).loads.map(({ spec }) => spec)).toEqual([
      { ...deploymentDefaults, model: manifest.model, contextTokens: 2048, microBatchRows: 128 },
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
      { stages: 2, sources: [peer(0).mesh.peerId], spec: { contextTokens: 512, threads: 2 } },
    ]);
    const stages = [peer(0), peer(1)].flatMap(({ loads }) => loads.map(({ stage }) => stage));
    expect(new Set(stages)).toEqual(new Set([0, 1]));
  });

  it('tells the stages how keys, values and hidden rows are kept, and shows it', async () => {
    const wish = { layers: [3, 5], cacheType: 'q8_0' as const, activations: 'f16' as const };
    const status = await deployments.deploy({ model: 'tiny', ...wish });
    expect(status).toMatchObject({ cacheType: 'q8_0', activations: 'f16' });
    expect(status.stages.map(({ block }) => block.to)).toEqual([3, 8]);
    const loads = peers.flatMap((one) => one.loads);
    expect(loads).toMatchObject([
      { spec: { cacheType: 'q8_0', activations: 'f16' } },
      { spec: { cacheType: 'q8_0', activations: 'f16' } },
    ]);
    const plain = await deployments.deploy({ model: 'tiny' });
    expect(plain).toMatchObject({ cacheType: 'f16', activations: 'f32' });
  });

  it('fails with what a stage failed with and takes the other stages down', async () => {
    peer(1).script = { fails: 'out of memory' };
    await expect(deployments.deploy({ model: 'tiny', stages: 2 })).rejects.toMatchObject({
      code: 'engine-failed',
      message: `${machineName(mesh.cards.snapshot(), peer(1).mesh.peerId)}: out of memory`,
    });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
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
    deployments = newDeployments({ timeouts: { loadStallMs: 50 } });
    peer(0).script = 'hang';
    await expect(deployments.deploy({ model: 'tiny' })).rejects.toMatchObject({
      code: 'deadline-exceeded',
      message: expect.stringContaining(machineName(mesh.cards.snapshot(), peer(0).mesh.peerId)) as string,
    });
    await vi.waitFor(() => expect(peer(0).held.size).toBe(0));
  });

  it('is taken down when its caller gives up', async () => {
    peer(0).script = 'hang';
    const caller = new AbortController();
    const onProgress = ({ stages }: DeploymentStatus) => {
      if (stages[0]?.progress !== undefined) caller.abort();
    };
    await expect(deployments.deploy({ model: 'tiny' }, { signal: caller.signal, onProgress })).rejects.toMatchObject({
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

describe('the memory of GPUs, which other programs may have taken since the last card', () => {
  /** Has a peer show one GPU with so much free, and its card reach the coordinator. */
  async function showGpu({ mesh: member }: ScriptedPeer, freeMemoryBytes: number): Promise<void> {
    member.updateCard({ hardware: withGpu(member, freeMemoryBytes) });
    await vi.waitFor(() => {
      const card = mesh.cards.snapshot().find((one) => one.peer === member.peerId);
      expect(card?.hardware?.gpus).toMatchObject([{ freeMemoryBytes }]);
    });
  }

  function withGpu(member: Mesh, freeMemoryBytes: number): Hardware {
    const { hardware } = cardOf({ peer: member.peerId, freeBytes: gibibyte });
    const gpus = [{ name: 'fake', memoryBytes: 24 * gibibyte, freeMemoryBytes }];
    return { ...invariant(hardware, 'a peer has hardware'), backend: 'cuda', gpus };
  }

  beforeEach(async () => {
    await showGpu(peer(0), 20 * gibibyte);
    await showGpu(peer(1), 8 * gibibyte);
  });

  it('is looked at again before a plan is made', async () => {
    // Another program has filled it: the next card would say so within a minute.
    peer(0).mesh.answerFreshCards(async () => {
      peer(0).mesh.updateCard({ hardware: withGpu(peer(0).mesh, gibibyte / 2) });
    });
    peer(1).mesh.answerFreshCards(async () => undefined);
    const { stages } = await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    expect(stages).toMatchObject([{ peer: peer(1).mesh.peerId }]);
  });

  it('is asked for once for plans that are made at the same time', async () => {
    let asked = 0;
    const both = Promise.withResolvers<void>();
    peer(0).mesh.answerFreshCards(async () => {
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
    deployments = newDeployments({ timeouts: { freshCardMs: 50 } }, undefined, {
      ...silentLogger,
      warn: (fields) => warnings.push(fields),
    });
    // The other one is of a version that knows nothing of that.
    peer(0).mesh.handle(methods.freshCard, async (stream) => await stream.closed);
    const { stages } = await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    expect(stages).toMatchObject([{ peer: peer(0).mesh.peerId }]);
    expect(new Set(warnings)).toMatchObject(
      new Set([
        { peer: peer(1).mesh.peerId, code: 'not-running' },
        { peer: peer(0).mesh.peerId, code: 'deadline-exceeded' },
      ]),
    );
  });

  it('keeps nobody waiting who gives up', async () => {
    const asked = Promise.withResolvers<void>();
    peer(0).mesh.handle(methods.freshCard, async (stream) => {
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
    await deployments.deploy({ model: 'tiny', stages: 2, contextTokens: 512, sequences: 2 });
    await peer(1).mesh.stop();
    // Scripted peers show no stages; of real ones, the deployments wait for the card to go.
    await vi.waitFor(() => expect(mesh.cards.snapshot()).toHaveLength(2), { timeout: 10_000 });
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    expect(deployments.list()).toMatchObject([{ id: 'deployment-2', state: 'ready', contextTokens: 512 }]);
    expect(peer(0).loads.at(-1)).toMatchObject({ stage: 0, stages: 1, spec: { sequences: 2 } });
  });
});

describe('deploying a model unless it is served', () => {
  const unlessServed = true;

  it('waits for the one that is coming, whoever began it, and shows its progress', async () => {
    const states: string[] = [];
    const onProgress = ({ state }: DeploymentStatus) => states.push(state);
    const all = await Promise.all([
      deployments.ensure('tiny', { signal: never }),
      deployments.deploy({ model: manifest.model }, { unlessServed, onProgress }),
      deployments.deploy({ model: 'TINY', sequences: 4 }, { unlessServed }),
    ]);
    expect(all).toMatchObject([{ deployment: 'deployment-1' }, { id: 'deployment-1' }, { id: 'deployment-1' }]);
    expect(new Set(states)).toEqual(new Set(['loading', 'ready']));
    expect(peer(0).loads).toHaveLength(1);
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
    deployments = newDeployments({}, new ComingModel(['Tiny']));
    const asked = [
      deployments.ensure('tiny', { signal: never }),
      deployments.ensure(manifest.model, { signal: never }),
      deployments.deploy({ model: 'tiny' }, { unlessServed: true }).then(({ id }) => ({ deployment: id })),
    ];
    const { id } = await deployments.deploy({ model: manifest.model, contextTokens: 512 });
    expect(await Promise.all(asked)).toMatchObject([{ deployment: id }, { deployment: id }, { deployment: id }]);
    expect(peer(0).loads).toMatchObject([{ spec: { contextTokens: 512 } }]);
  });

  it('are told to come again where that takes long', async () => {
    const coming = new ComingModel(['tiny']);
    deployments = newDeployments({ timeouts: { comingMs: 20 } }, coming);
    await expect(deployments.ensure('tiny', { signal: never })).rejects.toMatchObject({
      code: 'no-peers',
      details: { retryAfterSeconds: 5 },
    });
    expect(peer(0).loads).toEqual([]);
    // It turns out to be another one of that name.
    coming.found('f'.repeat(64));
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-1' });
  });

  it('are told that it is to come while nobody holds it', async () => {
    deployments = newDeployments({}, new ComingModel(['huge']));
    await expect(deployments.ensure('huge', { signal: never })).rejects.toMatchObject({ code: 'no-peers' });
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-1' });
  });
});

/** Makes a peer drop its stages. */
function lose(index: number): void {
  for (const stage of peer(index).held) stage.abort();
}

describe('deploying anew what was lost', () => {
  const wish = { stages: 2, contextTokens: 512, sequences: 2, threads: 3 };

  it('happens by itself, with what it had been asked for', async () => {
    await deployments.deploy({ model: 'tiny', ...wish });
    lose(1);
    const again = { id: 'deployment-2', state: 'ready', contextTokens: 512, sequences: 2 };
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([again]));
    expect(peer(1).loads.at(-1)).toMatchObject({ stages: 2, spec: { threads: 3 } });
  });

  it('takes its time with one that is lost again and again, unless a request comes', async () => {
    await deployments.deploy({ model: 'tiny', ...wish });
    lose(1);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id: 'deployment-2', state: 'ready' }]));
    lose(1);
    await vi.waitFor(() => expect(deployments.list().map(({ state }) => state)).toContain('waiting'));
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-3' });
  });

  it('leaves the context to its default when that much no longer fits', async () => {
    await deployments.deploy({ model: 'tiny', contextTokens: 1_000_000 });
    const { hardware } = cardOf({ peer: peer(0).mesh.peerId, freeBytes: gibibyte });
    for (const { mesh: member } of peers) member.updateCard(hardware === undefined ? {} : { hardware });
    const hasShrunk = () => mesh.cards.snapshot().every((card) => (card.hardware?.freeMemoryBytes ?? 0) <= gibibyte);
    await vi.waitFor(() => expect(hasShrunk()).toBe(true));
    lose(0);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'ready', contextTokens: 2048 }]));
    expect(peer(0).loads.at(-1)).toMatchObject({ spec: { contextTokens: 2048 } });
  });

  it('is left to the next request where a request had made it', async () => {
    await deployments.ensure('tiny', { signal: never });
    lose(0);
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
    expect(peers.flatMap(({ loads }) => loads)).toEqual([]);
    peers.push(await ScriptedPeer.join({ authority, knows: [mesh, ...peers.map((one) => one.mesh)] }));
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
    peers.push(await ScriptedPeer.join({ authority, knows: [mesh, ...peers.map((one) => one.mesh)] }));
    expect(await again).toMatchObject({ id: 'deployment-1' });
    expect(deployments.list()).toHaveLength(1);
  });
});

describe('a coordinator that starts again', () => {
  let kept: readonly WantedDeployment[];
  let count: number;
  const store = {
    load: () => Promise.resolve(kept),
    save: (list: readonly DesiredDeployment[]) => void (kept = list.map((one) => ({ ...one, patience: 'all' }))),
    saved: () => Promise.resolve(),
  };

  /** Starts a coordinator with what the last one has kept. */
  async function start(): Promise<void> {
    const newId = () => `deployment-${(count += 1)}`;
    deployments = new Deployments({ mesh, logger: silentLogger, newId, now: () => 1000, store });
    await deployments.start();
  }

  beforeEach(async () => {
    kept = [];
    count = 0;
    await start();
  });

  it('takes over what still runs, and loads nothing', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2, contextTokens: 512 });
    const before = deployments.list();
    await deployments.stop();
    for (const one of peers) one.showHeld();
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap(({ stages }) => stages)).toHaveLength(2));
    await start();
    expect(deployments.mayServe(id)).toBe(true);
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: id });
    expect(deployments.list()).toEqual(before);
    expect(peers.map(({ loads }) => loads.length)).toEqual([1, 1]);
    await deployments.undeploy(id);
    expect(peers.flatMap(({ kept: left }) => [...left])).toEqual([]);
  });

  it('brings back what is gone, under the same id', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await deployments.stop();
    await start();
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: id });
    expect(peer(0).loads).toHaveLength(2);
    await deployments.undeploy(id);
    await deployments.stop();
    await start();
    expect(deployments.list()).toEqual([]);
  });

  it('has peers release what they still hold of a deployment that was replaced meanwhile', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    peer(0).cutLinks();
    peer(0).showHeld();
    await vi.waitFor(() => expect([...peer(0).kept.keys()]).not.toContain(`${id}/0`));
  });
});

describe('ensuring a model again after its lead has failed', () => {
  it('waits for the loss to be noticed, and deploys anew', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    const again = deployments.ensure('tiny', { signal: never, failed: [id] });
    for (const stage of peer(0).held) stage.abort();
    expect(await again).toMatchObject({ deployment: 'deployment-2' });
  });

  it('takes another replica when the one that failed is not found lost', async () => {
    deployments = newDeployments({ timeouts: { lossNoticeMs: 20 } });
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
    peer(0).showStages(id);
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    for (const stage of peer(0).held) stage.abort();
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ id, state: 'failed' }]));
    const shown: number[] = [];
    const onProgress = () => shown.push(mesh.cards.snapshot().flatMap((card) => card.stages).length);
    const again = deployments.deploy({ model: 'tiny' }, { onProgress });
    peer(0).showStages();
    expect(await again).toMatchObject({ id: 'deployment-2' });
    expect(shown[0]).toBe(0);
  });

  it('plans all the same when a peer shows a lost stage for too long', async () => {
    deployments = newDeployments({ timeouts: { releaseMs: 20 } });
    const { id } = await deployments.deploy({ model: 'tiny' });
    peer(0).showStages(id);
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    await deployments.undeploy(id);
    expect(await deployments.deploy({ model: 'tiny' })).toMatchObject({ id: 'deployment-2', state: 'ready' });
  });
});

describe('taking down', () => {
  const request = {
    prompt: packPrompt({ type: 'text', text: 'Once' }),
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    stop: [],
  };

  /** Begins an answer of a deployment that hangs; returns its continuation. */
  async function begin(deployment: string, lead: ScriptedPeer): Promise<AsyncGenerator<GenerationUpdate>> {
    lead.generation = 'hang';
    const events = generate(mesh, lead.mesh.peerId, { ...request, deployment });
    await events.next();
    return events;
  }

  it('lets the answers that run end before the peers let go, and sends no request there meanwhile', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    const lead = peers.find(({ loads }) => loads.some(({ stage }) => stage === 0)) ?? peer(0);
    const events = await begin(id, lead);
    const states: string[] = [];
    const draining = Promise.withResolvers<void>();
    const down = deployments.undeploy(id, {
      onProgress: ({ state, running }) => {
        states.push(`${state} ${running}`);
        if (running === 1) draining.resolve();
      },
    });
    await draining.promise;
    expect(deployments.mayServe(id)).toBe(false);
    expect(deployments.list()).toMatchObject([{ id, state: 'draining', running: 1 }]);
    expect(peers.map(({ held }) => held.size)).toEqual([1, 1]);
    lead.release();
    expect((await Array.fromAsync(events)).at(-1)).toMatchObject({ type: 'generation-end' });
    expect(await down).toMatchObject({ id, state: 'closed' });
    expect(states).toEqual(['draining undefined', 'draining 1', 'draining 0', 'closed undefined']);
    expect(peers.map(({ held }) => held.size)).toEqual([0, 0]);
    expect(deployments.list()).toEqual([]);
  });

  it('cuts what runs at once when that is asked for, also while it drains', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, peer(0));
    const down = deployments.undeploy(id);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ running: 1 }]));
    await deployments.undeploy(id, { now: true });
    expect(peer(0).held.size).toBe(0);
    expect(await down).toMatchObject({ state: 'closed' });
  });

  it('is over when what drains is lost', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, peer(0));
    const down = deployments.undeploy(id);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ running: 1 }]));
    for (const stage of peer(0).held) stage.abort();
    expect(await down).toMatchObject({ id, state: 'closed' });
    expect(deployments.list()).toEqual([]);
  });

  it('takes no replica that drains for one that serves', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, peer(0));
    const down = deployments.undeploy(id);
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    peer(0).release();
    await down;
  });

  it('says what to wait for when what drains has the memory', async () => {
    deployments = newDeployments({ timeouts: { releaseMs: 20 } });
    const contextTokens = 1_000_000;
    const { id } = await deployments.deploy({ model: 'tiny', contextTokens, stages: 1 });
    await begin(id, peer(0));
    const down = deployments.undeploy(id);
    peer(0).showStages(id);
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    const needs = { model: 'tiny', contextTokens: 7_000_000, stages: 1 };
    await expect(deployments.deploy(needs)).rejects.toMatchObject({
      code: 'no-peers',
      message: expect.stringContaining(`skein undeploy ${id} --now`) as string,
    });
    peer(0).release();
    await down;
    await expect(deployments.deploy(needs)).rejects.toMatchObject({ code: 'does-not-fit' });
  });

  it('names the place to go to for what another coordinator has deployed', async () => {
    peer(0).showStages('of-others-1');
    await vi.waitFor(() => expect(mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    await expect(deployments.undeploy('of-others-1')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('another coordinator') as string,
    });
  });

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

  it('stops waiting for one that could not be placed', async () => {
    const waiting = deployments.deploy({ model: 'tiny', stages: 3 }, { wait: true });
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ state: 'waiting' }]));
    const down = deployments.undeploy('deployment-1');
    await expect(waiting).rejects.toMatchObject({ code: 'not-deployed' });
    expect(await down).toMatchObject({ state: 'closed' });
    expect(deployments.list()).toEqual([]);
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
