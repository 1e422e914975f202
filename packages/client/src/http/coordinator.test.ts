import { once } from 'node:events';

import { deploymentDefaults, type MeshStatus } from '@skein/protocol';
import { expect, test } from 'vitest';

import { beginEvents, startScriptedServer, type Script } from '../testing/scripted-server.ts';
import { openCoordinator, type Deployment } from './coordinator.ts';

function deployment(state: Deployment['state']): Deployment {
  return {
    id: 'deployment-1',
    model: 'a'.repeat(64),
    name: 'tiny',
    state,
    stages: [
      { peer: 'one', block: { from: 0, to: 4 }, plannedBytes: 9, state: state === 'ready' ? 'connected' : 'loading' },
    ],
    ...deploymentDefaults,
    contextTokens: 512,
    microBatchRows: 128,
    explanation: 'one peer holds it all',
    startedAt: 1,
  };
}

function onDeploy(answer: Script[string]): Script {
  return { '/skein/v1/deployments': answer };
}

test('follows a deployment until it serves', async () => {
  const asked: unknown[] = [];
  const script = onDeploy((response, body) => {
    asked.push(body);
    const send = beginEvents(response);
    for (const state of ['loading', 'connecting', 'ready'] as const) send({ deployment: deployment(state) });
    response.end();
  });
  await using server = await startScriptedServer(script);
  const states: string[] = [];
  const onProgress = ({ state }: Deployment) => states.push(state);
  const ready = await openCoordinator(server).deploy({ model: 'tiny', stages: 1 }, { onProgress, unlessServed: true });
  expect(ready).toEqual(deployment('ready'));
  expect(states).toEqual(['loading', 'connecting', 'ready']);
  expect(asked).toEqual([{ model: 'tiny', stages: 1, unlessServed: true }]);
});

test('goes on with a deployment when the callback that shows its progress throws', async () => {
  const warned = once(process, 'warning');
  const script = onDeploy((response) => {
    const send = beginEvents(response);
    for (const state of ['loading', 'ready'] as const) send({ deployment: deployment(state) });
    response.end();
  });
  await using server = await startScriptedServer(script);
  const onProgress = () => {
    throw new Error('broken callback');
  };
  expect(await openCoordinator(server).deploy({ model: 'tiny' }, { onProgress })).toEqual(deployment('ready'));
  expect(await warned).toEqual([new Error('broken callback')]);
});

test('throws why a deployment failed', async () => {
  const script = onDeploy((response) => {
    const send = beginEvents(response);
    send({ deployment: deployment('loading') });
    send({ error: { message: 'no peer has room', type: 'invalid_request_error', code: 'does_not_fit' } });
    response.end();
  });
  await using server = await startScriptedServer(script);
  await expect(openCoordinator(server).deploy({ model: 'tiny' })).rejects.toMatchObject({
    code: 'does-not-fit',
    message: 'no peer has room',
  });
});

test('takes a stream that ends before the model is ready as lost', async () => {
  const script = onDeploy((response) => {
    beginEvents(response)({ deployment: deployment('loading') });
    response.end();
  });
  await using server = await startScriptedServer(script);
  await expect(openCoordinator(server).deploy({ model: 'tiny' })).rejects.toMatchObject({ code: 'peer-lost' });
});

test('cancels a deployment by going away', async () => {
  const dropped = Promise.withResolvers<void>();
  const script = onDeploy((response) => {
    void once(response, 'close').then(() => dropped.resolve());
    beginEvents(response)({ deployment: deployment('loading') });
  });
  await using server = await startScriptedServer(script);
  const controller = new AbortController();
  const options = { signal: controller.signal, onProgress: () => controller.abort() };
  await expect(openCoordinator(server).deploy({ model: 'tiny' }, options)).rejects.toMatchObject({ code: 'aborted' });
  await dropped.promise;
});

test('lists the deployments', async () => {
  const status: MeshStatus = {
    peer: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
    addresses: [],
    cards: [],
    deployments: [deployment('ready'), deployment('failed')],
    traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
  };
  await using server = await startScriptedServer({
    '/skein/v1/status': (response) => response.end(JSON.stringify(status)),
  });
  expect(await openCoordinator(server).deployments()).toEqual(status.deployments);
});

test('takes a deployment down by its id, and follows it to its end', async () => {
  const gone = { message: 'there is no deployment other', type: 'invalid_request_error', code: 'not_found' };
  await using server = await startScriptedServer({
    '/skein/v1/deployments/one?now=false': (response) => {
      const send = beginEvents(response);
      send({ deployment: { ...deployment('draining'), running: 2 } });
      send({ deployment: deployment('closed') });
      response.end();
    },
    '/skein/v1/deployments/one?now=true': (response) => {
      beginEvents(response)({ deployment: deployment('closed') });
      response.end();
    },
    '/skein/v1/deployments/other?now=false': (response) => response.writeHead(404).end(JSON.stringify({ error: gone })),
  });
  const coordinator = openCoordinator(server);
  const seen: unknown[] = [];
  await coordinator.undeploy('one', { onProgress: ({ state, running }) => seen.push([state, running]) });
  expect(seen).toEqual([
    ['draining', 2],
    ['closed', undefined],
  ]);
  await coordinator.undeploy('one', { now: true });
  await expect(coordinator.undeploy('other')).rejects.toMatchObject({ code: 'not-found' });
});

test('does not take a deployment for gone whose coordinator is', async () => {
  await using server = await startScriptedServer({
    '/skein/v1/deployments/one?now=false': (response) => {
      beginEvents(response)({ deployment: deployment('draining') });
      response.end();
    },
  });
  await expect(openCoordinator(server).undeploy('one')).rejects.toMatchObject({ code: 'peer-lost' });
});
