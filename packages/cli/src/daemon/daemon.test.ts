import { openCoordinator } from '@skein/client';
import { createIdentity, Membership } from '@skein/mesh';
import { adminRoutes, invariant, silentLogger, type AdminRoute } from '@skein/protocol';
import { expect, test } from 'vitest';

import { askDaemon, askStatus, dialControl, openLocalCoordinator, stopDaemon } from '../control/control-client.ts';
import { fetchOver } from '../control/socket-fetch.ts';
import { temporaryPlace, type TestPlace } from '../testing/test-daemon.ts';
import { startDaemon, type Daemon, type DaemonOptions } from './daemon.ts';
import { openOrCreateMesh } from './open-mesh.ts';

async function start({ directory, path }: TestPlace, options: Partial<DaemonOptions>): Promise<Daemon> {
  return await startDaemon({
    directory,
    controlPath: path,
    passphrase: undefined,
    prepare: async () => await openOrCreateMesh(directory, { name: 'attic', passphrase: undefined }),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    peers: [],
    mdns: false,
    liveness: 'local',
    logger: silentLogger,
    signal: new AbortController().signal,
    ...options,
  });
}

/** The status of an answer at a daemon's socket. */
async function statusAt(path: string, url: string, request: RequestInit = {}): Promise<number> {
  const socket = await dialControl(path);
  if (socket === undefined) throw new Error('nobody listens');
  try {
    const response = await fetchOver(socket, (cause) => new Error('lost', { cause }))(
      `http://localhost${url}`,
      request,
    );
    return response.status;
  } finally {
    socket.destroy();
  }
}

const local = Object.values(adminRoutes as Record<string, AdminRoute>).filter(({ callers }) => callers === 'local');

test('has the whole API at its socket, and nothing for this machine alone at its port', async () => {
  await using place = await temporaryPlace();
  await using daemon = await start(place, { coordinate: { host: '127.0.0.1', port: 0 } });
  const { url = '' } = daemon;
  expect(await askStatus(place.path)).toMatchObject({ pid: process.pid, peer: daemon.mesh.peerId, url });
  expect(await statusAt(place.path, '/v1/models')).toBe(200);
  const coordinators = [openLocalCoordinator(place.path), openCoordinator({ url })];
  for (const coordinator of coordinators) expect(await coordinator.deployments()).toEqual([]);

  const { peerId: peer } = await createIdentity();
  const admitted = await askDaemon(place.path, adminRoutes.admitClient, { peer });
  const { mesh, ...credentials } = invariant(admitted, 'a daemon runs');
  expect((await Membership.open(mesh, credentials)).certificate).toMatchObject({ peer, roles: ['client'] });

  expect(local.length).toBeGreaterThan(0);
  for (const { method, path } of local) {
    const body = method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {};
    const response = await fetch(url + path.replaceAll(/:\w+/g, daemon.mesh.peerId), { method, ...body });
    expect([path, response.status]).toEqual([path, 404]);
  }
  expect(daemon.stopRequested.aborted).toBe(false);
}, 30_000);

test('serves those on the machine where it coordinates nothing', async () => {
  await using place = await temporaryPlace();
  await using daemon = await start(place, { serve: { backend: 'cpu' } });
  expect(daemon.url).toBeUndefined();
  expect((await askStatus(place.path))?.cards).toMatchObject([{ peer: daemon.mesh.peerId }]);
  const refused = { code: 'not-running', message: expect.stringContaining('does not coordinate') as string };
  await expect(openLocalCoordinator(place.path).deploy({ model: 'tiny' })).rejects.toMatchObject(refused);
  await expect(openLocalCoordinator(place.path).deployments()).rejects.toMatchObject(refused);
  expect(await statusAt(place.path, '/v1/models')).toBe(503);

  const waiting = new AbortController();
  const stopping = stopDaemon(place.path, { signal: waiting.signal });
  await expect.poll(() => daemon.stopRequested.aborted).toBe(true);
  waiting.abort();
  await expect(stopping).rejects.toMatchObject({ code: 'aborted' });
}, 30_000);
