import { silentLogger, SkeinError } from '@skein/protocol';
import { expect, it } from 'vitest';

import { peerIdOf } from '../testing/fixtures.ts';
import { post, testApp } from '../testing/test-app.ts';
import { createLocalApp, type LocalAppComponents } from './local-app.ts';

const peer = peerIdOf(1);

/** The app of a daemon's socket, with some of its handlers, and who was revoked. */
function localApp(options: Partial<LocalAppComponents> = {}) {
  const revoked: string[] = [];
  const administration: Partial<LocalAppComponents['administration']> = {
    members: () => ({ mesh: peer, members: [] }),
    invite: ({ uses }) => ({ invite: `for ${uses}` }),
    revoke: (request) => {
      revoked.push(request.peer);
      return {};
    },
  };
  const app = createLocalApp({
    administration: administration as LocalAppComponents['administration'],
    api: () => testApp().app,
    logger: silentLogger,
    ...options,
  });
  return { app, revoked };
}

it('answers what is for callers on this machine', async () => {
  const { app, revoked } = localApp();
  expect(await (await app.request('/skein/v1/members')).json()).toEqual({ mesh: peer, members: [] });
  expect(await (await post(app, '/skein/v1/invites', { uses: 3 })).json()).toEqual({ invite: 'for 3' });
  expect((await app.request(`/skein/v1/members/${peer}`, { method: 'DELETE' })).status).toBe(200);
  expect(revoked).toEqual([peer]);
});

it('serves the whole API of the coordinator', async () => {
  const { app } = localApp();
  expect((await app.request('/v1/models')).status).toBe(200);
  expect((await app.request('/skein/v1/status')).status).toBe(200);
  expect((await app.request('/v1/embeddings')).status).toBe(404);
  expect((await app.request('/v1/models', { method: 'PUT' })).status).toBe(405);
});

it('says why the API is not there', async () => {
  const { app } = localApp({
    api: () => {
      throw new SkeinError('not-running', 'this machine does not coordinate');
    },
  });
  const response = await post(app, '/skein/v1/deployments', { model: 'tiny' });
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({
    error: { code: 'not_running', message: 'this machine does not coordinate' },
  });
  expect((await app.request('/skein/v1/members')).status).toBe(200);
});

it.each([
  ['uses', { uses: 0 }],
  ['role', { role: 'king' }],
  ['labels', { labels: [] }],
])('names the field %s at fault', async (param, body) => {
  const response = await post(localApp().app, '/skein/v1/invites', body);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { param } });
});

it('takes no text for a peer id that is none', async () => {
  const { app, revoked } = localApp();
  const response = await app.request('/skein/v1/members/..%2F..', { method: 'DELETE' });
  expect([response.status, revoked]).toEqual([400, []]);
});

it('says which method a path takes', async () => {
  const response = await localApp().app.request('/skein/v1/daemon/stop');
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
});

it('answers to names of this machine alone', async () => {
  const headers = { host: 'evil.example' };
  expect((await localApp().app.request('/skein/v1/members', { headers })).status).toBe(400);
});
