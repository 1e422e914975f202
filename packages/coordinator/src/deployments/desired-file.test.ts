import { mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { deploymentSpec, plannedSpecSchema, silentLogger, type Logger } from '@skein/protocol';
import { expect, test } from 'vitest';

import { peerIdOf } from '../testing/fixtures.ts';
import { DesiredFile } from './desired-file.ts';
import { DesiredState, type WantedDeployment } from './desired-state.ts';

const model = 'ab'.repeat(32);
const wanted: WantedDeployment = {
  id: 'deployment-1',
  name: 'tiny',
  spec: deploymentSpec({ stages: 2, chatTemplate: '{{ "ä" }}' }, model),
};
const placement = {
  spec: plannedSpecSchema.parse({ model, contextTokens: 512 }),
  stages: [{ peer: peerIdOf(1), block: { from: 0, to: 8 }, bytes: 7 }],
  explanation: 'not split',
  startedAt: 1,
};

/** A data directory, with what is logged about it at `error`. */
async function directory() {
  const made = await mkdtempDisposable(join(tmpdir(), 'skein-desired-'));
  const { path } = made;
  const errors: object[] = [];
  const logger: Logger = { ...silentLogger, error: (fields) => void errors.push(fields) };
  const file = join(path, 'deployments.json');
  return {
    path,
    file,
    errors,
    open: () => new DesiredFile(path, logger),
    [Symbol.asyncDispose]: async () => await made.remove(),
  };
}

test('keeps what is to serve, and nothing of what is on its way, lost or taken down', async () => {
  await using data = await directory();
  const store = data.open();
  expect(await store.load()).toEqual({ deployments: [], scaling: [] });
  const desired = new DesiredState(() => store.save({ deployments: desired.list(), scaling: desired.scaling() }));
  desired.add({ ...wanted, placement, patience: 'all' });
  desired.add({ ...wanted, id: 'deployment-2', patience: 'passing' });
  desired.add({ ...wanted, id: 'deployment-3', placement, isOnDemand: true });
  desired.add({ ...wanted, id: 'deployment-loading' });
  desired.add({ ...wanted, id: 'deployment-lost', placement, replacedBy: 'deployment-2' });
  desired.add({ ...wanted, id: 'deployment-down', placement });
  desired.takeDown('deployment-down', 'drain');
  await store.saved();
  const kept = { ...wanted, patience: 'all' };
  expect((await data.open().load()).deployments).toEqual([
    { ...kept, placement, isOnDemand: false },
    { ...kept, id: 'deployment-2', isOnDemand: false },
    { ...kept, id: 'deployment-3', placement, isOnDemand: true },
  ]);
  desired.remove('deployment-2');
  await store.saved();
  expect((await data.open().load()).deployments).toHaveLength(2);
});

test('keeps the terms by which replicas come and go, and reads a file without any', async () => {
  await using data = await directory();
  const store = data.open();
  const desired = new DesiredState(() => store.save({ deployments: desired.list(), scaling: desired.scaling() }));
  const { name, spec } = wanted;
  const scaling = { id: 'deployment-4', name, spec, replicas: { min: 0, max: 2 }, idleMs: 60_000, pinned: true };
  desired.setScaling(spec.model, scaling);
  await store.saved();
  expect(await data.open().load()).toEqual({ deployments: [], scaling: [scaling] });
  desired.setScaling(spec.model, undefined);
  await store.saved();
  expect(JSON.parse(await readFile(data.file, 'utf8'))).not.toHaveProperty('scaling');
  expect(await data.open().load()).toEqual({ deployments: [], scaling: [] });
});

test('sets a damaged file aside, and says so', async () => {
  await using data = await directory();
  await writeFile(data.file, '{"version":1,"deployments":[{"id":"x"}]}', { mode: 0o600 });
  const store = data.open();
  expect(await store.load()).toEqual({ deployments: [], scaling: [] });
  const [aside] = await readdir(data.path);
  expect(aside).toMatch(/^deployments\.json\.damaged-/);
  expect(data.errors).toMatchObject([{ aside: join(data.path, aside ?? ''), problem: expect.any(String) as string }]);
  store.save({ deployments: [], scaling: [] });
  await store.saved();
  expect(JSON.parse(await readFile(data.file, 'utf8'))).toMatchObject({ version: 1, deployments: [] });
});

test('leaves the file of a later version alone', async () => {
  await using data = await directory();
  await writeFile(data.file, '{"version":2}', { mode: 0o600 });
  await expect(data.open().load()).rejects.toMatchObject({
    code: 'disk-failed',
    message: expect.stringContaining('later version') as string,
  });
  expect(await readFile(data.file, 'utf8')).toBe('{"version":2}');
});
