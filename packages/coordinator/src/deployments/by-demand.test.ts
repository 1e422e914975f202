import type { AdmissionStatus, DeploymentStatus, HeldStage } from '@skein/protocol';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { cardOf, gibibyte, heldStageOf, manifestOf, mebibyte } from '../testing/fixtures.ts';
import { ManualTimers } from '../testing/manual-timers.ts';
import { ScriptedPeer } from '../testing/scripted-peer.ts';
import { TwoPeers } from '../testing/two-peers.ts';
import type { Deployments } from './deployments.ts';

const second = 1000;
const minute = 60 * second;
const never = new AbortController().signal;
/** The first machine has room for one of them, the second one for none. */
const [red, blue] = ['red', 'blue'].map((name) => manifestOf({ name, layers: 8, layerBytes: 400 * mebibyte })) as [
  ReturnType<typeof manifestOf>,
  ReturnType<typeof manifestOf>,
];
const small = manifestOf({ name: 'small', layers: 8 });
let world: TwoPeers;
let timers: ManualTimers;
let deployments: Deployments;
let asked: AdmissionStatus[];

beforeEach(async () => {
  world = await TwoPeers.start();
  const { authority, mesh } = world;
  const holds = [red, blue, small];
  world.peers.push(await ScriptedPeer.join({ authority, knows: [mesh], holds, freeBytes: mebibyte }));
  for (const peer of world.peers.slice(0, 2)) peer.onKept = () => show(peer);
  world.peers.slice(0, 2).forEach(show);
  await world.untilShown(
    (cards) =>
      cards.flatMap(({ models }) => models).length === 4 &&
      cards.filter(({ hardware }) => (hardware?.memoryBytes ?? Infinity) <= 4 * gibibyte).length === 2,
  );
  asked = [];
  timers = new ManualTimers();
  const { schedule } = timers;
  deployments = world.newDeployments({}, { admission: () => asked, schedule, elapsedMs: () => timers.nowMs });
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

/** Has a peer show its stages, and the memory that they leave. */
function show(peer: ScriptedPeer): void {
  const memoryBytes = (peer === world.peers[0] ? 4 : 2) * gibibyte;
  const stages = [...peer.kept.values()].map(({ deployment, stage, stages: count, block, spec, name }): HeldStage => {
    const held = { ...heldStageOf(deployment), stage, stages: count, block, name, model: spec.model };
    return { ...held, bytes: spec.model === red.model || spec.model === blue.model ? 3276 * mebibyte : 20 * mebibyte };
  });
  const taken = stages.reduce((sum, { bytes }) => sum + bytes, 0);
  const { hardware } = cardOf({ peer: peer.mesh.peerId });
  if (hardware === undefined) return;
  peer.mesh.updateCard({ stages, hardware: { ...hardware, memoryBytes, freeMemoryBytes: memoryBytes - taken } });
}

function states(): Record<string, string> {
  return Object.fromEntries(deployments.list().map(({ name, state }) => [name, state]));
}

async function use(model: string): Promise<void> {
  await deployments.ensure(model, { signal: never });
}

/** Lets time pass, second by second, as demand is looked at. */
async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += second) {
    timers.advance(second);
    await Promise.resolve();
  }
}

const queue = (model: string, waiting: number): AdmissionStatus => ({
  model,
  admitted: 6,
  waiting,
  bound: 99,
  refused: 0,
});

it('loads a model for its first request in place of the one that was used before, once that has served for a while', async () => {
  await use('red');
  expect(states()).toEqual({ red: 'ready' });
  const waiting = use('blue');
  await pass(20 * second);
  expect(states()).toEqual({ red: 'ready' });
  await pass(15 * second);
  await waiting;
  await vi.waitFor(() => expect(states()).toEqual({ blue: 'ready' }));
});

it('refuses a model that fits in place of a pinned one alone, and names that', async () => {
  await deployments.deploy({ model: 'red' }, { scaling: { pinned: true } });
  await pass(minute);
  await expect(use('blue')).rejects.toMatchObject({
    code: 'does-not-fit',
    message: expect.stringMatching(
      /it would fit in place of red, pinned there: deploy red again without --pin/,
    ) as string,
  });
  expect(states()).toEqual({ red: 'ready' });
});

it('waits for the requests of the one in the way, and says so when that takes long', async () => {
  await use('red');
  await pass(minute);
  asked = [queue(red.model, 0)];
  const waiting = use('blue');
  let failure: unknown;
  waiting.catch((error: unknown) => (failure = error));
  await vi.waitFor(async () => {
    await pass(10 * second);
    expect(failure).toMatchObject({
      code: 'no-peers',
      message: expect.stringContaining('there is no room for blue yet: red has requests') as string,
      details: { retryAfterSeconds: 30 },
    });
  });
  expect(states()).toEqual({ red: 'ready' });
});

it('brings one back that somebody deployed, when it is asked for or there is room again', async () => {
  await deployments.deploy({ model: 'red' });
  await pass(minute);
  await use('blue');
  expect(deployments.list()).toMatchObject([
    { name: 'blue', state: 'ready' },
    { name: 'red', state: 'waiting', error: { message: expect.stringContaining('made room for blue') as string } },
  ]);
  const [blueOne] = deployments.list();
  await deployments.undeploy(blueOne?.id ?? '');
  await vi.waitFor(() => expect(states()).toEqual({ red: 'ready' }));
});

it('adds replicas while requests wait, and takes those down that were not needed for long', async () => {
  const scaling = { replicas: { min: 0, max: 2 }, idleMs: 5 * minute };
  const { replicas, idleMs, pinned } = await deployments.deploy({ model: 'small' }, { scaling });
  expect({ replicas, idleMs, pinned }).toEqual({ ...scaling, pinned: false });
  asked = [queue(small.model, 9)];
  await pass(15 * second);
  const ready = () => deployments.list().filter(({ state }) => state === 'ready').length;
  await vi.waitFor(() => expect(ready()).toBe(2));
  await pass(5 * minute);
  expect(ready()).toBe(2);
  asked = [];
  await vi.waitFor(async () => {
    await pass(minute);
    expect(ready()).toBe(0);
  });
  await vi.waitFor(() =>
    expect(deployments.list()).toMatchObject([
      {
        name: 'small',
        state: 'waiting',
        error: { message: expect.stringContaining('the next request loads it') as string },
      },
    ]),
  );
  await use('small');
  expect(ready()).toBe(1);
});

it('keeps as many as are owed, changes that by deploying again, and takes a model down with its terms', async () => {
  await deployments.deploy({ model: 'small' }, { scaling: { replicas: { min: 2, max: 2 } } });
  const all = (): readonly DeploymentStatus[] => deployments.list();
  await vi.waitFor(() => expect(all().map(({ state }) => state)).toEqual(['ready', 'ready']));
  await deployments.deploy({ model: 'small' }, { scaling: { replicas: { min: 1, max: 1 }, pinned: true } });
  await vi.waitFor(() => expect(all()).toMatchObject([{ replicas: { min: 1, max: 1 }, pinned: true }]));
  // One more by hand is one more for good.
  await deployments.deploy({ model: 'small' });
  expect(all()).toMatchObject([{ replicas: { min: 2, max: 2 } }, { state: 'ready' }]);
  for (const { id } of all()) await deployments.undeploy(id);
  expect(all()).toEqual([]);
  await use('small');
  expect(all()[0]?.pinned).toBeUndefined();
});

it('leaves the terms of before in force when a deployment with others is refused', async () => {
  await deployments.deploy({ model: 'small' }, { scaling: { replicas: { min: 1, max: 2 } } });
  const vast = { model: 'small', contextTokens: 10_000_000 };
  const scaling = { replicas: { min: 2, max: 2 } };
  await expect(deployments.deploy(vast, { scaling })).rejects.toMatchObject({ code: 'does-not-fit' });
  expect(deployments.list()).toMatchObject([{ replicas: { min: 1, max: 2 } }]);
  await expect(deployments.deploy(vast, { scaling: { ...scaling, idleMs: minute } })).rejects.toMatchObject({
    code: 'invalid-request',
  });
});
