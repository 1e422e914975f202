import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

import { Authority, createMesh, signingKeyOf, type Mesh } from '@skein/mesh';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { createCoordinator, type Coordinator } from '../coordinator.ts';
import { eventsOf, temporaryDirectory } from '../testing/audit-fixture.ts';
import { manifestOf } from '../testing/fixtures.ts';
import { ScriptedPeer } from '../testing/scripted-peer.ts';
import { AuditLog } from './audit-log.ts';
import type { LoggedEvent } from './events.ts';
import { verifyAuditLog } from './verify.ts';

const manifest = manifestOf({ name: 'tiny' });
/** Stands in every prompt, and must stand nowhere else. */
const marker = 'herring-4711';
const chat = { model: 'tiny', messages: [{ role: 'user', content: `the password is ${marker}` }] };
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let mesh: Mesh;
let peer: ScriptedPeer;
let audit: AuditLog;
let coordinator: Coordinator;

beforeEach(async () => {
  directory = await temporaryDirectory();
  const authority = await Authority.ephemeral();
  const enrolled = await authority.enroll(['coordinator']);
  mesh = await createMesh({ ...enrolled, roles: ['coordinator'], mdns: false });
  await mesh.start();
  peer = await ScriptedPeer.join({ authority, knows: [mesh], holds: [manifest] });
  for await (const cards of mesh.cards.watch()) if (cards.some((card) => card.models.length > 0)) break;
  audit = await AuditLog.open({ directory: directory.path, key: signingKeyOf(enrolled.identity) });
  coordinator = createCoordinator({ mesh, audit, port: 0, deadlines: { gapMs: 1000 } });
  await coordinator.start();
});

afterEach(async () => {
  await stop();
  await Promise.all([mesh.stop(), peer.mesh.stop()]);
  await directory[Symbol.asyncDispose]();
});

async function stop(): Promise<void> {
  await coordinator.stop();
  await audit.close();
}

async function post(path: string, body: object | string, init: RequestInit = {}): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return await fetch(coordinator.url + path, { method: 'POST', body: text, headers, ...init });
}

async function recorded<Type extends LoggedEvent['type']>(type: Type) {
  const events = await eventsOf(directory.path);
  return events.filter((event): event is Extract<LoggedEvent, { type: Type }> => event.type === type);
}

/** Everything that lies in the log's directory. */
async function allText(): Promise<string> {
  // The head is replaced while requests are recorded: what is on its way to it is not there for long.
  const names = (await readdir(directory.path)).filter((name) => !name.endsWith('.new'));
  return (await Promise.all(names.map(async (name) => await readFile(join(directory.path, name), 'utf8')))).join('');
}

it('records who asked what of which peers, and nothing of what was said', async () => {
  const plain = (await (await post('/v1/chat/completions', chat)).json()) as { id: string; choices: object[] };
  expect(JSON.stringify(plain.choices)).toContain('Hello');
  const streamed = await post('/v1/completions', { model: 'tiny', prompt: marker, stream: true, n: 2 });
  expect(await streamed.text()).toContain('[DONE]');
  const { id: deployment } = coordinator.deployments.list()[0] ?? {};
  await stop();
  const common = {
    type: 'request',
    client: 'local',
    address: '127.0.0.1',
    outcome: 'answered',
    model: 'tiny',
    sha256: manifest.model,
    deployment,
    peers: [peer.mesh.peerId],
    promptTokens: 3,
    durationMs: expect.any(Number) as number,
  };
  expect(await recorded('request')).toEqual([
    {
      ...common,
      id: plain.id,
      endpoint: '/v1/chat/completions',
      choices: 1,
      promptSize: chat.messages[0]?.content.length,
      completionTokens: 1,
      finishReasons: ['stop'],
    },
    {
      ...common,
      id: expect.stringMatching(/^cmpl-/) as string,
      endpoint: '/v1/completions',
      choices: 2,
      promptSize: marker.length,
      completionTokens: 2,
      finishReasons: ['stop', 'stop'],
    },
  ]);
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, unsealed: 0 });
});

it('records what was refused, what broke off and what was left, without a word of it', async () => {
  await post('/v1/chat/completions', { ...chat, model: marker });
  await post('/v1/chat/completions', `{"messages": "${marker}`);
  await post('/v1/chat/completions', { ...chat, temperature: marker });
  peer.generation = 'hang';
  expect((await post('/v1/chat/completions', chat)).status).toBe(504);
  const client = new AbortController();
  const response = await post('/v1/chat/completions', { ...chat, stream: true }, { signal: client.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  // The headers come before the first text.
  await reader?.read();
  client.abort();
  await expect(reader?.read()).rejects.toThrow(/abort/);
  await vi.waitFor(async () => expect(await recorded('request')).toHaveLength(5));
  const peers = [peer.mesh.peerId];
  const seen = { model: 'tiny', sha256: manifest.model, peers, completionTokens: 1 };
  const requests = await recorded('request');
  expect(requests).toMatchObject([
    { outcome: 'refused', error: 'model-not-found', peers: [], promptSize: chat.messages[0]?.content.length },
    { outcome: 'refused', error: 'invalid-request', peers: [] },
    { outcome: 'refused', error: 'invalid-request', peers: [] },
    { ...seen, outcome: 'failed', error: 'deadline-exceeded' },
    { ...seen, outcome: 'cancelled', error: 'aborted' },
  ]);
  for (const { model } of requests.slice(0, 3)) expect(model).toBeUndefined();
  expect(await allText()).not.toContain(marker);
  expect(await allText()).not.toContain('Hello');
});

it('records all that saw a request which went to another replica', async () => {
  const { id } = await coordinator.deployments.deploy({ model: 'tiny' });
  peer.generation = 'loses-stage';
  expect((await post('/v1/chat/completions', chat)).status).toBe(200);
  await stop();
  const [request] = await recorded('request');
  expect(request).toMatchObject({ outcome: 'answered', peers: [peer.mesh.peerId] });
  expect(request?.deployment).not.toBe(id);
  expect((await recorded('deployment')).map(({ action, deployment }) => [action, deployment === id])).toEqual([
    ['deployed', true],
    ['lost', true],
    ['deployed', false],
  ]);
});

it('records its own start and stop, and what was deployed and taken down between', async () => {
  const { url } = coordinator;
  const { id } = await coordinator.deployments.deploy({ model: 'tiny' });
  await coordinator.deployments.undeploy(id);
  await coordinator.deployments.deploy({ model: 'tiny' });
  await stop();
  const stages = [{ peer: peer.mesh.peerId, from: 0, to: 8 }];
  const of = { type: 'deployment', model: 'tiny', sha256: manifest.model, stages };
  expect(await eventsOf(directory.path)).toMatchObject([
    { type: 'opened' },
    { type: 'started', peer: mesh.peerId, url },
    { ...of, action: 'deployed', deployment: id },
    { ...of, action: 'undeployed', deployment: id },
    { ...of, action: 'deployed' },
    { type: 'stopped' },
    { type: 'checkpoint' },
  ]);
});

it('records a request that the stop cuts off', async () => {
  peer.generation = 'hang';
  const response = await post('/v1/chat/completions', { ...chat, stream: true });
  await stop();
  await response.text();
  expect(await recorded('request')).toMatchObject([{ outcome: 'failed', error: 'not-running' }]);
  expect((await eventsOf(directory.path)).slice(-2)).toMatchObject([{ type: 'stopped' }, { type: 'checkpoint' }]);
});

it('answers nothing while it can not record', async () => {
  await coordinator.deployments.deploy({ model: 'tiny' });
  await vi.waitFor(async () => {
    expect(await verifyAuditLog(directory.path)).toMatchObject({ entries: 3, unsealed: 0 });
  });
  const obstacle = join(directory.path, 'head.json.new');
  await mkdir(obstacle);
  // A request that runs when the disk fails is answered, and recorded when the disk is there again.
  expect((await post('/v1/chat/completions', chat)).status).toBe(200);
  await vi.waitFor(async () => await expect(audit.assertWritable()).rejects.toMatchObject({ code: 'disk-failed' }));
  const refused = await post('/v1/chat/completions', chat);
  expect(refused.status).toBe(507);
  const text = await refused.text();
  expect(text).toContain('disk_failed');
  expect(text).not.toContain(directory.path);
  expect(peer.generating.size).toBe(0);
  await rmdir(obstacle);
  expect((await post('/v1/chat/completions', chat)).status).toBe(200);
  await stop();
  expect(await recorded('request')).toMatchObject([{ outcome: 'answered' }, { outcome: 'answered' }]);
});

it('records an answer that its client continued once for each connection, with the tokens that each carried', async () => {
  peer.generation = 'hang';
  const first = await post('/v1/completions', { model: 'tiny', prompt: marker, stream: true });
  const reader = first.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('Hello')) text += (await reader?.read())?.value ?? '';
  await reader?.cancel();
  await vi.waitFor(async () => expect(await recorded('request')).toHaveLength(1));
  peer.generation = 'ends';
  const last = /^id: (.*)$/m.exec(text)?.[1] ?? '';
  const headers = { 'content-type': 'application/json', 'last-event-id': last };
  const second = await post('/v1/completions', { model: 'tiny', prompt: marker, stream: true }, { headers });
  expect(await second.text()).toContain('[DONE]');
  await stop();
  const [id] = last.split(':');
  expect(await recorded('request')).toMatchObject([
    { id, outcome: 'cancelled', completionTokens: 1 },
    { id, outcome: 'answered', completionTokens: 0, finishReasons: ['stop'] },
  ]);
});
