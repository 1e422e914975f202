import { mkdir, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Mesh } from '@skein/mesh';
import { deploymentSpec, methods, silentLogger, type Lease } from '@skein/protocol';
import { expect, test } from 'vitest';

import { Cluster, untilCards } from '../../../mesh/src/testing/cluster.ts';
import { DesiredFile } from '../deployments/index.ts';
import { DesiredState } from '../deployments/desired-state.ts';
import { schedule } from '../timers.ts';
import { DesiredCopies } from './desired-copies.ts';

const spec = deploymentSpec({ contextTokens: 256 }, 'a'.repeat(64));

/** The desired state with deployments of these ids. */
function desired(...ids: readonly string[]) {
  const state = new DesiredState();
  for (const id of ids) state.add({ id, name: 'tiny', spec, patience: 'all' });
  return state.list();
}

interface Desk extends Disposable {
  readonly mesh: Mesh;
  readonly copies: DesiredCopies;
  readonly file: DesiredFile;
  readonly keeper: { tenure: Lease | undefined; followed: Lease | undefined };
}

async function withDesks(work: (one: Desk, two: Desk) => Promise<void>): Promise<void> {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-copies-'));
  await using cluster = new Cluster();
  const first = await cluster.add([], { roles: ['coordinator'] });
  const second = await cluster.add([first], { roles: ['coordinator'] });
  await Promise.all([first, second].map(async (mesh) => await untilCards(mesh, (cards) => cards.length === 2)));
  const desk = async (mesh: Mesh, name: string): Promise<Desk> => {
    await mkdir(join(root.path, name));
    const keeper = { tenure: undefined, followed: undefined };
    const file = new DesiredFile(join(root.path, name), silentLogger);
    const copies = new DesiredCopies({ mesh, keeper, file, logger: silentLogger, schedule });
    copies.start();
    return { mesh, copies, file, keeper, [Symbol.dispose]: () => copies.stop() };
  };
  using one = await desk(first, 'one');
  using two = await desk(second, 'two');
  await work(one, two);
}

function hold(lease: Lease, holder: Desk, follower: Desk): void {
  Object.assign(holder.keeper, { tenure: lease, followed: undefined });
  Object.assign(follower.keeper, { tenure: undefined, followed: lease });
}

test('a successor begins with what the holder wanted, and the holder that comes back with what the successor did', async () => {
  await withDesks(async (one, two) => {
    hold({ epoch: 1, holder: one.mesh.peerId }, one, two);
    expect(await one.copies.load()).toEqual({ deployments: [], scaling: [] });
    one.copies.save({ deployments: desired('deployment-1'), scaling: [] });
    one.copies.save({ deployments: desired('deployment-1', 'deployment-2'), scaling: [] });
    await one.copies.saved();
    expect(await two.file.load()).toMatchObject({ deployments: [{ id: 'deployment-1' }, { id: 'deployment-2' }] });

    hold({ epoch: 2, holder: two.mesh.peerId }, two, one);
    expect(await two.copies.load()).toMatchObject({ deployments: [{ id: 'deployment-1' }, { id: 'deployment-2' }] });
    two.copies.save({ deployments: desired('deployment-2'), scaling: [] });
    await two.copies.saved();

    // Not even a lost copy brings the old state back: the newest one in reach counts.
    hold({ epoch: 3, holder: one.mesh.peerId }, one, two);
    expect(await one.copies.load()).toMatchObject({ deployments: [{ id: 'deployment-2' }] });
  });
});

test('takes copies from the holder alone, and none that is not as it says', async () => {
  await withDesks(async (one, two) => {
    hold({ epoch: 1, holder: one.mesh.peerId }, one, two);
    await one.copies.load();
    one.copies.save({ deployments: desired('deployment-1'), scaling: [] });
    await one.copies.saved();
    const copy = await one.file.copy();
    const send = async (from: Mesh, to: Mesh, change: object, bytes: Uint8Array): Promise<unknown> => {
      await using stream = await from.open(to.peerId, methods.desired);
      await stream.write({ type: 'desired-copy', change }, bytes);
      return (await stream.read())?.header;
    };
    const bytes = copy?.bytes ?? new Uint8Array();
    const change = { epoch: 9, revision: 1 };
    const changed = Buffer.from(Buffer.from(bytes).toString().replace('"epoch":1', '"epoch":9'));
    await expect(send(one.mesh, two.mesh, change, bytes)).rejects.toMatchObject({ code: 'protocol-violation' });
    await expect(send(one.mesh, two.mesh, change, Buffer.from('{'))).rejects.toMatchObject({
      code: 'protocol-violation',
    });
    await expect(send(two.mesh, one.mesh, change, changed)).rejects.toMatchObject({ code: 'stale-lease' });
    expect((await two.file.copy())?.change).toEqual({ epoch: 1, revision: 1 });
    expect(await send(one.mesh, two.mesh, change, changed)).toEqual({ type: 'desired-kept' });
    expect((await two.file.copy())?.change).toEqual(change);
  });
});
