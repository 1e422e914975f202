import { adminRoutes, type DeploymentStatus, SkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { peerIdOf, statusOf } from '../testing/fixtures.ts';
import { post, sentEvents, testApp } from '../testing/test-app.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const loading = statusOf({ state: 'loading' });
const ready = statusOf();

it('says that it is up', async () => {
  expect(await (await testApp().app.request('/health')).json()).toEqual({ status: 'ok' });
});

it('explains an unknown URL in the shape of an error', async () => {
  const response = await testApp().app.request('/v1/embeddings');
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({
    error: { message: expect.stringContaining('GET /v1/embeddings') as string, code: 'unknown_url' },
  });
});

it.each([
  ['GET', '/v1/chat/completions', 'POST'],
  ['PUT', '/v1/models', 'GET'],
  ['DELETE', '/v1/models/org/tiny', 'GET'],
  ['GET', '/skein/v1/deployments', 'POST'],
  ['GET', '/skein/v1/deployments/deployment-1', 'DELETE'],
  ['DELETE', '/health', 'GET'],
])('says which method %s %s should be', async (method, path, allow) => {
  const response = await testApp().app.request(path, { method });
  expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
  expect(await response.json()).toMatchObject({
    error: { message: `${path} does not take ${method}; use ${allow}`, code: 'method_not_allowed' },
  });
});

describe('what is for callers on this machine alone', () => {
  const routes = Object.entries(adminRoutes).filter(([, { callers }]) => callers === 'local');

  it.each(routes)('is not there for callers over TCP: %s', async (_, { method, path }) => {
    const body = method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {};
    const response = await testApp().app.request(path.replaceAll(/:\w+/g, peerIdOf(1)), { method, ...body });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'unknown_url' } });
  });
});

describe('against web pages in a browser on this machine', () => {
  it.each(['evil.example', 'evil.example:4040', 'localhost.evil.example', '10.0.0.1', 'a b'])(
    'refuses the host %s',
    async (host) => {
      const response = await testApp().app.request('/v1/models', { headers: { host } });
      expect(response.status).toBe(400);
    },
  );

  it.each(['localhost', 'LOCALHOST:4040', '127.0.0.1:4040', '127.1.2.3', '[::1]:4040'])(
    'answers to the host %s',
    async (host) => {
      expect((await testApp().app.request('/v1/models', { headers: { host } })).status).toBe(200);
    },
  );

  it.each(['text/plain', 'application/x-www-form-urlencoded', ''])('refuses to take "%s" for JSON', async (type) => {
    const { app, received } = testApp();
    const response = await post(app, '/v1/chat/completions', chat, { 'content-type': type });
    expect(response.status).toBe(400);
    expect(received).toEqual([]);
  });

  it('never allows another origin', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const response = await testApp().app.request('/v1/chat/completions', { method: 'OPTIONS', headers });
    expect(response.status).toBe(405);
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('a body that is too large', () => {
  it('is refused by its length', async () => {
    const length = String(17 * 1024 * 1024);
    const response = await post(testApp().app, '/v1/completions', '{}', { 'content-length': length });
    expect(response.status).toBe(413);
  });

  it('is refused while it comes when no length was given', async () => {
    let sentBytes = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sentBytes += 1024 * 1024;
        controller.enqueue(new Uint8Array(1024 * 1024).fill(0x20));
      },
    });
    const headers = { 'content-type': 'application/json' };
    const response = await testApp().app.request('/v1/completions', { method: 'POST', body, headers, duplex: 'half' });
    expect(response.status).toBe(413);
    expect(sentBytes).toBeLessThan(20 * 1024 * 1024);
  });
});

describe('deploying over HTTP', () => {
  const deploy = testApp({
    deploy: async (_, { onEvent }) => {
      onEvent({ deployment: loading });
      await Promise.resolve();
      return { deployment: ready };
    },
  });

  it('streams the states', async () => {
    const response = await post(deploy.app, '/skein/v1/deployments', { model: 'tiny' });
    const events = await sentEvents(response);
    expect(events.at(-1)).toEqual({ deployment: ready });
  });

  it('waits and answers with JSON when asked', async () => {
    const accept = 'application/json';
    const response = await post(deploy.app, '/skein/v1/deployments', { model: 'tiny', stages: 2 }, { accept });
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ deployment: ready });
  });

  it('has a proper status for what fails at once', async () => {
    const { app } = testApp({
      deploy: async () => {
        throw new SkeinError('does-not-fit', 'needs 9 GiB');
      },
    });
    const response = await post(app, '/skein/v1/deployments', { model: 'tiny' });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ error: { code: 'does_not_fit' } });
  });

  it('tells of a failure while loading as its last event', async () => {
    const failing = Promise.withResolvers<DeploymentStatus>();
    const { app } = testApp({
      deploy: async (_, { onEvent }) => {
        onEvent({ deployment: loading });
        return { deployment: await failing.promise };
      },
    });
    const response = await post(app, '/skein/v1/deployments', { model: 'tiny' });
    failing.reject(new SkeinError('engine-failed', 'out of memory'));
    expect(await sentEvents(response)).toMatchObject([
      { deployment: { state: 'loading' } },
      { error: { code: 'engine_failed' } },
    ]);
  });

  it('passes on how the deployment shall be', async () => {
    const asked: object[] = [];
    const { app } = testApp({
      deploy: async (request) => {
        asked.push(request);
        return { deployment: ready };
      },
    });
    const wanted = { model: 'tiny', layers: [17, 13], cacheType: 'q8_0', activations: 'f16', contextTokens: 512 };
    await post(app, '/skein/v1/deployments', wanted, { accept: 'application/json' });
    expect(asked).toMatchObject([wanted]);
  });

  it.each([
    ['stages', { stages: 0 }],
    ['layers', { layers: [] }],
    ['layers[1]', { layers: [5, 0] }],
    ['cacheType', { cacheType: 'q3_0' }],
    ['valueCacheType', { valueCacheType: 'q3_0' }],
    ['activations', { activations: 'bf16' }],
  ])('names the field %s at fault', async (param, wrong) => {
    const response = await post(deploy.app, '/skein/v1/deployments', { model: 'tiny', ...wrong });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
  });

  it('refuses to take down what is not there', async () => {
    const response = await testApp().app.request('/skein/v1/deployments/nothing-1', { method: 'DELETE' });
    expect(response.status).toBe(404);
  });
});

describe('taking down over HTTP', () => {
  const asked: unknown[] = [];
  const { app } = testApp({
    undeploy: async ({ id, now }, { onEvent }) => {
      asked.push([id, now]);
      onEvent({ deployment: statusOf({ state: 'draining', running: 2 }) });
      await Promise.resolve();
      return { deployment: statusOf({ state: 'closed' }) };
    },
  });
  const remove = async (path: string, headers: Record<string, string> = {}) =>
    await app.request(`/skein/v1/deployments/${path}`, { method: 'DELETE', headers });

  it('answers when it is done, and cuts nothing unless told to', async () => {
    asked.length = 0;
    const statuses = [await remove('one'), await remove('one?now=false'), await remove('one?now=true')];
    expect(statuses.map(({ status }) => status)).toEqual([204, 204, 204]);
    expect(asked).toEqual([
      ['one', false],
      ['one', false],
      ['one', true],
    ]);
  });

  it('streams the states to who asks for events', async () => {
    const events = await sentEvents(await remove('one', { accept: 'text/event-stream' }));
    expect(events.at(-1)).toMatchObject({ deployment: { state: 'closed' } });
  });

  it('has a proper status for what is not there, also where events were asked for', async () => {
    const headers = { accept: 'text/event-stream' };
    const response = await testApp().app.request('/skein/v1/deployments/nothing-1', { method: 'DELETE', headers });
    expect(response.status).toBe(404);
  });

  it('refuses a request that it does not know', async () => {
    const response = await remove('one?now=yes');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { message: 'now: must be true or false', param: 'now' } });
  });
});
