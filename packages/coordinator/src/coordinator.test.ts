import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { silentLogger } from '@skein/protocol';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { createCoordinator, type Coordinator, type CoordinatorOptions } from './coordinator.ts';
import { manifestOf } from './testing/fixtures.ts';
import { ScriptedPeer } from './testing/scripted-peer.ts';

const manifest = manifestOf({ name: 'tiny' });
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'Hi' }] };
let authority: Authority;
let mesh: Mesh;
let peer: ScriptedPeer;
let coordinator: Coordinator;

beforeEach(async () => {
  authority = await Authority.ephemeral();
  mesh = await createMesh({ ...(await authority.enroll(['coordinator'])), roles: ['coordinator'], mdns: false });
  await mesh.start();
  peer = await ScriptedPeer.join({ authority, knows: [mesh], holds: [manifest] });
  for await (const cards of mesh.cards.watch()) if (cards.some((card) => card.models.length > 0)) break;
  coordinator = createCoordinator({ mesh, port: 0 });
  await coordinator.start();
});

afterEach(async () => {
  await coordinator.stop();
  await Promise.all([mesh.stop(), peer.mesh.stop()]);
});

/** One more coordinator of the same mesh. */
async function startCoordinator(options: Partial<CoordinatorOptions>): Promise<Coordinator & AsyncDisposable> {
  const another = createCoordinator({ mesh, port: 0, ...options });
  await another.start();
  return Object.assign(another, { [Symbol.asyncDispose]: async () => await another.stop() });
}

async function post(
  path: string,
  body: object,
  { url = coordinator.url, ...init }: RequestInit & { readonly url?: string } = {},
): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return await fetch(url + path, { method: 'POST', body: JSON.stringify(body), headers, ...init });
}

it('deploys a model when it is first asked for and answers from its lead', async () => {
  const response = await post('/v1/chat/completions', chat);
  expect(await response.json()).toMatchObject({
    choices: [{ message: { content: 'Hello' }, finish_reason: 'stop' }],
    skein: { lead: peer.mesh.peerId, deployment: coordinator.deployments.list()[0]?.id },
  });
  await post('/v1/chat/completions', chat);
  expect(peer.loads).toHaveLength(1);
});

it('shows members, deployments and traffic', async () => {
  await coordinator.deployments.deploy({ model: 'tiny' });
  const status: unknown = await (await fetch(`${coordinator.url}/skein/v1/status`)).json();
  expect(status).toMatchObject({
    peer: mesh.peerId,
    cards: [{ peer: mesh.peerId }, { peer: peer.mesh.peerId, models: [{ name: 'tiny' }] }],
    deployments: [{ name: 'tiny', state: 'ready', stages: [{ peer: peer.mesh.peerId, block: { from: 0, to: 8 } }] }],
    traffic: { peers: { [peer.mesh.peerId]: { sentBytes: expect.any(Number) as number } } },
  });
});

it('knows no deployment by an id that is not one', async () => {
  const response = await fetch(`${coordinator.url}/skein/v1/deployments/unknown-1`, { method: 'DELETE' });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ error: { code: 'not_found' } });
});

it('answers a request whose replica is lost before its first text from a new one', async () => {
  const { id } = await coordinator.deployments.deploy({ model: 'tiny' });
  peer.generation = 'loses-stage';
  const response = await post('/v1/chat/completions', { ...chat, stream: true });
  const text = await response.text();
  expect(response.status).toBe(200);
  expect(text).toContain('"content":"Hello"');
  expect(text).not.toContain(id);
  expect(coordinator.deployments.list()).toMatchObject([{ state: 'ready' }]);
  expect(peer.loads).toHaveLength(2);
});

it('sends the headers of a stream when the lead has taken the request, and frees it when the client goes away', async () => {
  peer.generation = 'begins';
  const client = new AbortController();
  const response = await post('/v1/chat/completions', { ...chat, stream: true }, { signal: client.signal });
  expect(response.headers.get('content-type')).toMatch('text/event-stream');
  expect(peer.generating.size).toBe(1);
  client.abort();
  await expect(response.text()).rejects.toThrow(/abort/);
  await vi.waitFor(() => expect(peer.generating.size).toBe(0));
});

it('calls a model away while its member is lost, serves it when one is back, and knows it no more once that is put out', async () => {
  const ask = async () => await post('/v1/chat/completions', chat);
  const untilHolders = async (count: number) => {
    for await (const cards of mesh.cards.watch()) if (cards.flatMap(({ models }) => models).length === count) return;
  };
  await peer.mesh.stop();
  await untilHolders(0);
  for (const answer of [await ask(), await fetch(`${coordinator.url}/v1/models/tiny`)]) {
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(await answer.json()).toMatchObject({ error: { code: 'no_peers' } });
  }
  await expect(coordinator.deployments.deploy({ model: 'tiny' })).rejects.toMatchObject({ code: 'no-peers' });
  const back = await ScriptedPeer.join({ authority, knows: [mesh], holds: [manifest] });
  try {
    await untilHolders(1);
    expect((await ask()).status).toBe(200);
  } finally {
    await back.mesh.stop();
  }
  await untilHolders(0);
  const adopted: Promise<unknown>[] = [];
  authority.onList((list) => void adopted.push(mesh.membership.adopt(list)), silentLogger);
  for (const { mesh: gone } of [peer, back]) await authority.revoke(gone.peerId);
  await Promise.all(adopted);
  await vi.waitFor(async () => expect((await ask()).status).toBe(404));
});

it('ends a generation that stalls with an error, and frees its sequence', async () => {
  peer.generation = 'hang';
  // One member coordinates once.
  await coordinator.stop();
  await using impatient = await startCoordinator({ deadlines: { gapMs: 50 } });
  const response = await post('/v1/chat/completions', chat, { url: impatient.url });
  expect(response.status).toBe(504);
  expect(await response.json()).toMatchObject({ error: { code: 'deadline_exceeded' } });
  await vi.waitFor(() => expect(peer.generating.size).toBe(0));
});

it('ends the generation at its lead when the client goes away', async () => {
  peer.generation = 'hang';
  const client = new AbortController();
  const response = await post('/v1/chat/completions', { ...chat, stream: true }, { signal: client.signal });
  expect(peer.generating.size).toBe(1);
  client.abort();
  await expect(response.text()).rejects.toThrow(/abort/);
  await vi.waitFor(() => expect(peer.generating.size).toBe(0));
});

it('ends a generation that is not streamed when the client goes away, too', async () => {
  peer.generation = 'hang';
  const client = new AbortController();
  const response = post('/v1/chat/completions', chat, { signal: client.signal });
  await vi.waitFor(() => expect(peer.generating.size).toBe(1));
  client.abort();
  await expect(response).rejects.toThrow(/abort/);
  await vi.waitFor(() => expect(peer.generating.size).toBe(0));
});

it('stops within a moment while answers are streamed', async () => {
  peer.generation = 'hang';
  const response = await post('/v1/chat/completions', { ...chat, stream: true });
  const startedMs = performance.now();
  const text = response.text();
  await coordinator.stop();
  expect(performance.now() - startedMs).toBeLessThan(2000);
  expect(await text).toContain('"code":"not_running"');
  expect(peer.held.size).toBe(0);
});

it('starts and stops once however often it is told to', async () => {
  const { url } = coordinator;
  await coordinator.start();
  expect(coordinator.url).toBe(url);
  await Promise.all([coordinator.stop(), coordinator.stop()]);
  await expect(fetch(`${url}/health`)).rejects.toThrow('fetch failed');
  await expect(coordinator.start()).rejects.toMatchObject({ code: 'not-running' });
});

it('says so when its port is taken', async () => {
  const port = Number(new URL(coordinator.url).port);
  const second = createCoordinator({ mesh, port });
  await expect(second.start()).rejects.toMatchObject({ code: 'already-running' });
  await second.stop();
});

it.each(['0.0.0.0', '::', '192.168.1.5', 'office.example'])('refuses to serve on %s', (host) => {
  expect(() => createCoordinator({ mesh, host })).toThrow(/no API keys yet/);
});
