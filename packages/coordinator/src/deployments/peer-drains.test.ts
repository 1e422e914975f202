import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { silentLogger, type DrainStatus } from '@skein/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { gibibyte, manifestOf, mebibyte } from '../testing/fixtures.ts';
import { ScriptedPeer } from '../testing/scripted-peer.ts';
import { Deployments } from './deployments.ts';

const manifest = manifestOf({ name: 'tiny', layers: 8 });
let authority: Authority;
let mesh: Mesh;
let deployments: Deployments;
let peers: ScriptedPeer[];
let ids: number;

beforeEach(async () => {
  authority = await Authority.ephemeral();
  mesh = await createMesh({ ...(await authority.enroll(['coordinator'])), roles: ['coordinator'], mdns: false });
  await mesh.start();
  [peers, ids] = [[], 0];
  const newId = () => `deployment-${(ids += 1)}`;
  // Scripted peers show no stages.
  const options = { timeouts: { shownMs: 1 } };
  deployments = new Deployments({ mesh, logger: silentLogger, newId, now: () => 1000 }, options);
});

afterEach(async () => {
  await deployments.stop();
  await Promise.all([mesh, ...peers.map((peer) => peer.mesh)].map(async (member) => await member.stop()));
});

/** Adds a peer and returns it with its peer id. The first one holds the model. */
async function join(freeBytes: number = 4 * gibibyte): Promise<readonly [ScriptedPeer, string]> {
  const holds = peers.length === 0 ? { holds: [manifest] } : {};
  const peer = await ScriptedPeer.join({ authority, knows: [mesh], freeBytes, ...holds });
  peer.obeyDrains();
  peers.push(peer);
  for await (const cards of mesh.cards.watch()) {
    if (cards.filter(({ hardware }) => hardware !== undefined).length === peers.length) break;
  }
  return [peer, peer.mesh.peerId];
}

const isDraining = (id: string) => mesh.cards.snapshot().find(({ peer }) => peer === id)?.draining;
const places = () => deployments.list().map(({ state, stages }) => [state, ...stages.map(({ peer }) => peer)]);

it('makes a replica elsewhere first, then has the answers handed over and the stages unloaded', async () => {
  const [ada, adaId] = await join();
  const { id } = await deployments.deploy({ model: 'tiny', sequences: 2 });
  const [bob, bobId] = await join();
  const seen: string[] = [];
  const status = await deployments.drain(adaId, {
    onProgress: ({ moves }) => seen.push(...moves.map(({ step }) => `${step} ${bob.loads.length} ${ada.held.size}`)),
  });
  expect(status).toEqual({ peer: adaId, moves: [{ id, name: 'tiny', step: 'gone', replacement: 'deployment-2' }] });
  expect([...new Set(seen)]).toEqual(expect.arrayContaining(['replacing 1 1', 'handing-over 1 1', 'gone 1 0']));
  expect(places()).toEqual([['ready', bobId]]);
  expect(deployments.wasTakenDown(id)).toBe(false);
  expect(bob.loads[0]?.spec).toMatchObject({ sequences: 2, contextTokens: 2048 });
  expect(ada.handedOver).toBe(1);
});

it('keeps the machine free of stages until it is no longer drained', async () => {
  const [, adaId] = await join();
  const [, bobId] = await join();
  await deployments.drain(adaId);
  expect(isDraining(adaId)).toBe(true);
  await deployments.deploy({ model: 'tiny' });
  await deployments.deploy({ model: 'tiny' });
  expect(places()).toEqual([
    ['ready', bobId],
    ['ready', bobId],
  ]);
  await deployments.undrain(adaId);
  expect(isDraining(adaId)).toBe(false);
  await deployments.deploy({ model: 'tiny' });
  expect(places().at(-1)).toEqual(['ready', adaId]);
});

it('is refused, with nothing changed, where there is no room elsewhere', async () => {
  const [ada, adaId] = await join();
  const { id } = await deployments.deploy({ model: 'tiny' });
  await join(mebibyte);
  await expect(deployments.drain(adaId)).rejects.toMatchObject({
    code: 'does-not-fit',
    message: expect.stringMatching(/is not drained, since tiny can't move: .* --force$/) as string,
  });
  expect(isDraining(adaId)).toBe(false);
  expect(places()).toEqual([['ready', adaId]]);
  expect(deployments.mayServe(id)).toBe(true);
  expect(ada.held.size).toBe(1);
});

it('lets answers end and takes down what has no room elsewhere, when it is forced', async () => {
  const [ada, adaId] = await join();
  await deployments.deploy({ model: 'tiny' });
  const steps: (string | undefined)[] = [];
  await deployments.drain(adaId, { force: true, onProgress: ({ moves }: DrainStatus) => steps.push(moves[0]?.step) });
  expect(steps).toContain('ending');
  expect(isDraining(adaId)).toBe(true);
  expect([places(), ada.handedOver]).toEqual([[], 0]);
});

it('hands answers over to the replicas that there are, where there is no room for one more', async () => {
  const [ada, adaId] = await join();
  const first = await deployments.deploy({ model: 'tiny' });
  ada.showStages(first.id);
  const [bob, bobId] = await join();
  await deployments.deploy({ model: 'tiny' });
  expect(places()).toEqual([
    ['ready', adaId],
    ['ready', bobId],
  ]);
  const { hardware } = bob.mesh.cards.snapshot()[0] ?? {};
  if (hardware !== undefined) bob.mesh.updateCard({ hardware: { ...hardware, freeMemoryBytes: mebibyte } });
  await mesh.freshCard(bobId);
  const { moves } = await deployments.drain(adaId);
  expect(moves).toEqual([{ id: first.id, name: 'tiny', step: 'gone' }]);
  expect(places()).toEqual([['ready', bobId]]);
  expect(ada.handedOver).toBe(1);
});

it('refuses a machine that does not serve', async () => {
  const [, adaId] = await join();
  await expect(deployments.drain(mesh.peerId)).rejects.toMatchObject({ code: 'not-found' });
  await expect(deployments.undrain('nobody')).rejects.toMatchObject({ code: 'not-found' });
  expect(isDraining(adaId)).toBeUndefined();
});
