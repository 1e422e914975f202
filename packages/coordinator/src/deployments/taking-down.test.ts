import { packPrompt } from '@skein/protocol';
import { generate, type GenerationUpdate } from '@skein/serving';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ScriptedPeer } from '../testing/scripted-peer.ts';
import { TwoPeers } from '../testing/two-peers.ts';
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

describe('taking down', () => {
  const request = {
    prompt: packPrompt({ type: 'text', text: 'Once' }),
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    stop: [],
  };

  /** Begins an answer of a deployment that hangs; returns its continuation. */
  async function begin(deployment: string, lead: ScriptedPeer): Promise<AsyncGenerator<GenerationUpdate>> {
    lead.generation = 'hang';
    const events = generate(world.mesh, lead.mesh.peerId, { ...request, deployment });
    await events.next();
    return events;
  }

  it('lets the answers that run end before the peers let go, and sends no request there meanwhile', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    const lead = world.peers.find(({ loads }) => loads.some(({ stage }) => stage === 0)) ?? world.peer(0);
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
    expect(world.peers.map(({ held }) => held.size)).toEqual([1, 1]);
    lead.release();
    expect((await Array.fromAsync(events)).at(-1)).toMatchObject({ type: 'generation-end' });
    expect(await down).toMatchObject({ id, state: 'closed' });
    expect(states).toEqual(['draining undefined', 'draining 1', 'draining 0', 'closed undefined']);
    expect(world.peers.map(({ held }) => held.size)).toEqual([0, 0]);
    expect(deployments.list()).toEqual([]);
  });

  it('cuts what runs at once when that is asked for, also while it drains', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, world.peer(0));
    const down = deployments.undeploy(id);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ running: 1 }]));
    await deployments.undeploy(id, { now: true });
    expect(world.peer(0).held.size).toBe(0);
    expect(await down).toMatchObject({ state: 'closed' });
  });

  it('is over when what drains is lost', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, world.peer(0));
    const down = deployments.undeploy(id);
    await vi.waitFor(() => expect(deployments.list()).toMatchObject([{ running: 1 }]));
    for (const stage of world.peer(0).held) stage.abort();
    expect(await down).toMatchObject({ id, state: 'closed' });
    expect(deployments.list()).toEqual([]);
  });

  it('takes no replica that drains for one that serves', async () => {
    const { id } = await deployments.deploy({ model: 'tiny' });
    await begin(id, world.peer(0));
    const down = deployments.undeploy(id);
    expect(await deployments.ensure('tiny', { signal: never })).toMatchObject({ deployment: 'deployment-2' });
    world.peer(0).release();
    await down;
  });

  it('says what to wait for when what drains has the memory', async () => {
    deployments = world.newDeployments({ timeouts: { releaseMs: 20 } });
    const contextTokens = 1_000_000;
    const { id } = await deployments.deploy({ model: 'tiny', contextTokens, stages: 1 });
    await begin(id, world.peer(0));
    const down = deployments.undeploy(id);
    world.peer(0).showStages(id);
    await vi.waitFor(() => expect(world.mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    const needs = { model: 'tiny', contextTokens: 7_000_000, stages: 1 };
    await expect(deployments.deploy(needs)).rejects.toMatchObject({
      code: 'no-peers',
      message: expect.stringContaining(`skein undeploy ${id} --now`) as string,
    });
    world.peer(0).release();
    await down;
    await expect(deployments.deploy(needs)).rejects.toMatchObject({ code: 'does-not-fit' });
  });

  it('names the place to go to for what another coordinator has deployed', async () => {
    world.peer(0).showStages('of-others-1');
    await vi.waitFor(() => expect(world.mesh.cards.snapshot().flatMap((card) => card.stages)).toHaveLength(1));
    await expect(deployments.undeploy('of-others-1')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('another coordinator') as string,
    });
  });

  it('has the peers let go of all stages', async () => {
    const { id } = await deployments.deploy({ model: 'tiny', stages: 2 });
    await deployments.undeploy(id);
    expect(world.peers.map(({ held }) => held.size)).toEqual([0, 0]);
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
    world.peer(0).script = 'hang';
    const loading = deployments.deploy({ model: 'tiny' });
    await vi.waitFor(() => expect(world.peer(0).held.size).toBe(1));
    await Promise.all([deployments.stop(), expect(loading).rejects.toMatchObject({ code: 'not-running' })]);
    expect(world.peer(0).held.size).toBe(0);
  });
});
