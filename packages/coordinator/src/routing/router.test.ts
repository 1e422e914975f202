import { createMesh, Authority, type GenerationDeadlines, type Mesh } from '@skein/mesh';
import { methods, SkeinError, type Card, type ErrorCode } from '@skein/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { AskedReplica } from '../audit/index.ts';
import type { GenerationPort } from '../http/generation-port.ts';
import { cardOf, manifestOf, peerIdOf } from '../testing/fixtures.ts';
import { createRouter } from './router.ts';

const [ada, bob, cyd] = [peerIdOf(1), peerIdOf(2), peerIdOf(3)];
const held = manifestOf({ name: 'held' });
const served = manifestOf({ name: 'served' });
const input = { prompt: { type: 'text' as const, text: 'Once' }, sampling: sampling(), stop: [] };
const { signal } = new AbortController();

/** Answers for all leads: its calls to itself need no network. */
let member: Mesh;
/** What each deployment does: refuse with a code, stay silent, or answer, which is the default. */
let scripts: Record<string, ErrorCode | 'silent'>;
/** Deployments that were asked, in order; and for which failed ones `ensure` was called. */
let asked: string[];
let ensured: (readonly string[])[];

beforeEach(async () => {
  [scripts, asked, ensured] = [{}, [], []];
  member = await createMesh({
    ...(await (await Authority.ephemeral()).enroll(['peer'])),
    roles: ['peer'],
    mdns: false,
  });
  member.handle(methods.generate, async (stream) => {
    const { deployment } = ((await stream.read())?.header ?? {}) as { deployment: string };
    asked.push(deployment);
    const script = scripts[deployment];
    if (script === 'silent') return void (await stream.read());
    if (script !== undefined) throw new SkeinError(script, `${deployment} refuses`);
    await stream.write({ type: 'text-delta', text: 'upon', tokens: [1] });
    const usage = { promptTokens: 1, completionTokens: 1 };
    const timings = { firstTokenMs: 1, decodeMs: 1 };
    await stream.write({ type: 'generation-end', finishReason: 'stop', usage, timings });
  });
  await member.start();
});

afterEach(async () => await member.stop());

function sampling() {
  return { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 1 };
}

/** A peer that holds one model and leads a deployment of another. */
function leadCard(peer: string, lead: { deployment: string; active?: number }): Card {
  const { deployment, active = 0 } = lead;
  const place = { stage: 0, stages: 1, block: { from: 0, to: 8 }, state: 'ready' as const };
  const stage = { deployment, model: served.model, name: served.name, contextTokens: 1024, sequences: 4, bytes: 0 };
  return cardOf({ peer, holds: [held], card: { stages: [{ ...stage, ...place, active, queued: 0 }] } });
}

function routerOver(
  cards: readonly Card[],
  options: { readonly gone?: readonly string[]; readonly deadlines?: Partial<GenerationDeadlines> } = {},
): GenerationPort {
  const { gone = [], deadlines } = options;
  const view = { snapshot: () => cards, onChange: () => () => undefined, watch: () => never() };
  const open: Mesh['open'] = async (_, method, openOptions) => await member.open(member.peerId, method, openOptions);
  const deployments = {
    mayServe: (id: string) => !gone.includes(id),
    peersOf: (id: string) => (id.startsWith('new-') ? [ada, cyd] : undefined),
    ensure: async (model: string, { failed = [] }: { readonly failed?: readonly string[] | undefined }) => {
      ensured.push(failed);
      return { deployment: `new-${ensured.length}-for-${model}`, lead: ada };
    },
  };
  return createRouter({ mesh: { cards: view, open }, deployments }, deadlines);
}

async function* never(): AsyncGenerator<readonly Card[]> {}

it('sends a request to the least loaded lead of its model', async () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1', active: 3 }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  const { choices, ...route } = await router.generate('served', [input], { signal });
  expect(route).toEqual({ deployment: 'deployment-2', lead: bob });
  expect(await Promise.all(choices.map(async (events) => await Array.fromAsync(events)))).toMatchObject([
    [{ text: 'upon' }, { type: 'generation-end' }],
  ]);
});

it('sends all choices of a request to the lead that has begun the first', async () => {
  scripts = { 'deployment-1': 'overloaded' };
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  const { choices, lead } = await router.generate('served', [input, input, input], { signal });
  expect(lead).toBe(bob);
  const texts = choices.map(async (events) => (await Array.fromAsync(events)).length);
  expect(await Promise.all(texts)).toEqual([2, 2, 2]);
  expect(asked).toEqual(['deployment-1', 'deployment-2', 'deployment-2', 'deployment-2']);
});

it('deploys a model that nobody serves', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })]);
  expect(await router.generate('held', [input], { signal })).toMatchObject({ deployment: 'new-1-for-held', lead: ada });
});

it('does not send requests to a deployment that is gone, though its card still shows it', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })], { gone: ['deployment-1'] });
  expect(await router.generate('served', [input], { signal })).toMatchObject({ deployment: 'new-1-for-served' });
});

it.each(['peer-lost', 'stage-lost', 'overloaded', 'not-deployed'] as const)(
  'goes to another replica when the first fails with %s',
  async (code) => {
    scripts = { 'deployment-1': code };
    const router = routerOver([
      leadCard(ada, { deployment: 'deployment-1' }),
      leadCard(bob, { deployment: 'deployment-2', active: 1 }),
    ]);
    expect(await router.generate('served', [input], { signal })).toMatchObject({
      deployment: 'deployment-2',
      lead: bob,
    });
    expect(ensured).toEqual([]);
  },
);

it('deploys the model again for a request whose last replica was lost', async () => {
  scripts = { 'deployment-1': 'stage-lost', 'deployment-2': 'peer-lost' };
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  expect(await router.generate('served', [input], { signal })).toMatchObject({ deployment: 'new-1-for-served' });
  expect(ensured).toEqual([['deployment-1', 'deployment-2']]);
});

it('deploys again once, and then says why it failed', async () => {
  scripts = { 'deployment-1': 'peer-lost', 'new-1-for-served': 'stage-lost' };
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })]);
  await expect(router.generate('served', [input], { signal })).rejects.toMatchObject({ code: 'stage-lost' });
  expect(asked).toEqual(['deployment-1', 'new-1-for-served']);
});

it('survives the loss of what it has just deployed', async () => {
  scripts = { 'new-1-for-held': 'stage-lost' };
  expect(
    await routerOver([leadCard(ada, { deployment: 'deployment-1' })]).generate('held', [input], { signal }),
  ).toMatchObject({ deployment: 'new-2-for-held' });
});

it('does not deploy more of a model whose replicas have too much to do', async () => {
  scripts = { 'deployment-1': 'overloaded', 'deployment-2': 'peer-lost' };
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  await expect(router.generate('served', [input], { signal })).rejects.toMatchObject({ code: 'overloaded' });
  expect(ensured).toEqual([]);
});

it('tells whom a request goes to: the stages of every replica that is asked', async () => {
  scripts = { 'deployment-1': 'stage-lost' };
  const place = { stages: 2, block: { from: 4, to: 8 }, state: 'ready' as const, active: 0, queued: 0, bytes: 0 };
  const stage = { deployment: 'deployment-1', model: served.model, name: 'served', contextTokens: 1024, sequences: 4 };
  const tail = cardOf({ peer: bob, card: { stages: [{ ...stage, ...place, stage: 1 }] } });
  const router = routerOver([tail, leadCard(ada, { deployment: 'deployment-1' })]);
  const replicas: AskedReplica[] = [];
  await router.generate('served', [input], { signal, onAsk: (replica) => replicas.push(replica) });
  expect(replicas).toEqual([
    { deployment: 'deployment-1', peers: [ada, bob] },
    { deployment: 'new-1-for-served', peers: [ada, cyd] },
  ]);
});

it('gives up on a lead that stays silent', async () => {
  scripts = { 'deployment-1': 'silent' };
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })], { deadlines: { firstEventMs: 20 } });
  await expect(router.generate('served', [input], { signal })).rejects.toMatchObject({ code: 'deadline-exceeded' });
  expect(ensured).toEqual([]);
});

it('offers what is held and what is served, each once', () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2' }),
  ]);
  expect(router.models()).toEqual([
    { id: 'held', sha256: held.model, bytes: held.bytes, deployed: false },
    { id: 'served', sha256: served.model, bytes: undefined, deployed: true },
  ]);
});

it('spreads requests that come together over replicas, before any card tells of them', async () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2' }),
  ]);
  const ask = async () => await router.generate('served', [input], { signal });
  const routed = [await ask(), await ask(), await ask(), await ask()];
  expect(routed.map(({ deployment }) => deployment).toSorted()).toEqual([
    'deployment-1',
    'deployment-1',
    'deployment-2',
    'deployment-2',
  ]);
  await Promise.all(routed.flatMap(({ choices }) => choices.map(async (events) => await Array.fromAsync(events))));
  const later = [await ask(), await ask()];
  expect(new Set(later.map(({ deployment }) => deployment)).size).toBe(2);
});
