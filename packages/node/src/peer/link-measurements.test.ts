import { Authority, createMesh, measureLink, type LinkMeasurement, type Mesh } from '@skein/mesh';
import { silentLogger, type Card, type HeldStage } from '@skein/protocol';
import { afterEach, assert, beforeEach, expect, test, vi } from 'vitest';

import { isComputing } from './is-computing.ts';
import { LinkMeasurements } from './link-measurements.ts';

const stage: HeldStage = {
  deployment: 'deployment-1',
  model: 'a'.repeat(64),
  name: 'tiny',
  stage: 1,
  stages: 2,
  block: { from: 0, to: 1 },
  state: 'ready',
  contextTokens: 128,
  sequences: 1,
  bytes: 0,
  active: 0,
  queued: 0,
};
const lead: HeldStage = { ...stage, stage: 0 };
const minuteMs = 60_000;

let authority: Authority;
let stack: AsyncDisposableStack;
let near: Mesh;
let far: Mesh;
let nowMs: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  nowMs = 0;
  authority = await Authority.ephemeral();
  far = await join();
  near = await join(far);
  await vi.waitFor(() => assert([near, far].every((mesh) => mesh.cards.snapshot().length === 2)));
});
afterEach(async () => await stack.disposeAsync());

async function join(known?: Mesh): Promise<Mesh> {
  const peers = [...(known?.addresses() ?? [])];
  const mesh = await createMesh({
    ...(await authority.enroll(['peer', 'coordinator'])),
    roles: ['peer'],
    peers,
    mdns: false,
  });
  await mesh.start();
  stack.defer(async () => await mesh.stop());
  return mesh;
}

type Measure = (peerId: string, signal: AbortSignal) => Promise<LinkMeasurement>;

/** As a peer has it: what was measured goes on its card. */
function measurementsOf(mesh: Mesh, measure?: Measure): LinkMeasurements {
  const links: LinkMeasurements = new LinkMeasurements({
    mesh,
    logger: silentLogger,
    onChange: () => mesh.updateCard({ links: links.describe() }),
    now: () => nowMs,
    wallClock: () => 1_700_000_000_000 + nowMs,
    random: () => 0.5,
    ...(measure === undefined ? {} : { measure }),
  });
  stack.use(links);
  return links;
}

/** Counts measurements that are not really made. */
function counting(): { readonly measured: string[]; readonly measure: Measure } {
  const measured: string[] = [];
  const measure: Measure = async (peerId) => {
    measured.push(peerId);
    return { roundTripMs: 1, bytesPerSecond: 1000 };
  };
  return { measured, measure };
}

const cardOf = (cards: readonly Card[], mesh: Mesh): Card | undefined => cards.find(({ peer }) => peer === mesh.peerId);

test('measures a member a few seconds after it was seen, and tells everyone', async () => {
  measurementsOf(far).start();
  const links = measurementsOf(near);
  await links.tick();
  nowMs = 2000;
  await links.tick();
  expect(links.describe()).toEqual([]);
  nowMs = 5000;
  await links.tick();
  const link = {
    peer: far.peerId,
    roundTripMs: expect.any(Number) as number,
    bytesPerSecond: expect.any(Number) as number,
    measuredAt: 1_700_000_005_000,
  };
  expect(links.describe()).toEqual([link]);
  await expect.poll(() => cardOf(far.cards.snapshot(), near)?.links).toEqual([link]);
});

test('measures again after ten minutes, and one that failed a little later', async () => {
  const { measured, measure } = counting();
  const failures = [new Error('refused')];
  const links = measurementsOf(near, async (peerId, signal) => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    return await measure(peerId, signal);
  });
  const countAt = async (atMs: number): Promise<number> => {
    nowMs = atMs;
    await links.tick();
    return measured.length;
  };
  await countAt(0);
  expect(await countAt(5000)).toBe(0);
  expect(await countAt(34_000)).toBe(0);
  expect(await countAt(35_000)).toBe(1);
  expect(await countAt(35_000 + 9 * minuteMs)).toBe(1);
  expect(await countAt(35_000 + 10 * minuteMs)).toBe(2);
});

test('measures nothing while a stage computes at either end, and gets to it later', async () => {
  const { measured, measure } = counting();
  const links = measurementsOf(near, measure);
  await links.tick();
  nowMs = minuteMs;
  near.updateCard({ stages: [{ ...lead, active: 1 }] });
  await links.tick();
  expect(measured).toEqual([]);

  // Ours is no lead; the lead's card says that its deployment computes.
  near.updateCard({ stages: [stage] });
  far.updateCard({ stages: [{ ...lead, queued: 1 }] });
  await expect.poll(() => cardOf(near.cards.snapshot(), far)?.stages[0]?.queued).toBe(1);
  await links.tick();
  expect(measured).toEqual([]);

  far.updateCard({ stages: [lead] });
  await expect.poll(() => cardOf(near.cards.snapshot(), far)?.stages[0]?.queued).toBe(0);
  await links.tick();
  expect(measured).toEqual([far.peerId]);
});

test('refuses to be measured while it computes', async () => {
  measurementsOf(far).start();
  far.updateCard({ stages: [{ ...lead, active: 1 }] });
  await expect(measureLink(near, far.peerId)).rejects.toMatchObject({ code: 'overloaded' });
});

test('leaves off when a generation starts meanwhile, and measures one link at a time', async () => {
  const begun = Promise.withResolvers<AbortSignal>();
  let calls = 0;
  const links = measurementsOf(near, async (_, signal) => {
    calls += 1;
    begun.resolve(signal);
    const aborted = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => aborted.reject(signal.reason as Error));
    return await aborted.promise;
  });
  await links.tick();
  nowMs = 5000;
  const measuring = links.tick();
  const signal = await begun.promise;
  nowMs = minuteMs;
  await links.tick();
  expect(calls).toBe(1);
  near.updateCard({ stages: [{ ...lead, active: 1 }] });
  expect(signal.aborted).toBe(true);
  await measuring;
  expect(links.describe()).toEqual([]);
});

test('forgets a member that has gone, and measures none that does not serve', async () => {
  const { measured, measure } = counting();
  const links = measurementsOf(near, measure);
  await links.tick();
  nowMs = minuteMs;
  await links.tick();
  expect(links.describe()).toMatchObject([{ peer: far.peerId }]);
  far.updateCard({ roles: ['coordinator'] });
  await expect.poll(() => cardOf(near.cards.snapshot(), far)?.roles).toEqual(['coordinator']);
  nowMs = 20 * minuteMs;
  await links.tick();
  expect(cardOf(near.cards.snapshot(), near)?.links).toEqual([]);
  expect(measured).toHaveLength(1);
});

test('a member computes when the lead of a pipeline it is part of does, or when it loads a stage', () => {
  const card = (peer: string, stages: HeldStage[]): Card => ({
    peer,
    version: 1,
    roles: ['peer'],
    name: peer,
    software: 'test',
    addresses: [],
    models: [],
    stages,
  });
  expect(isComputing('a', [])).toBe(false);
  expect(isComputing('a', [card('a', [stage]), card('b', [lead])])).toBe(false);
  expect(isComputing('a', [card('a', [stage]), card('b', [{ ...lead, active: 1 }])])).toBe(true);
  const another = { ...lead, deployment: 'deployment-2', active: 1 };
  expect(isComputing('a', [card('a', [stage]), card('b', [another])])).toBe(false);
  expect(isComputing('a', [card('a', [{ ...stage, state: 'loading' }])])).toBe(true);
});
