import { getEventListeners } from 'node:events';

import { createMesh, Authority, type Mesh } from '@skein/mesh';
import { asSkeinError, methods, packPrompt, SkeinError, type Card, type ErrorCode } from '@skein/protocol';
import type { GenerationDeadlines } from '@skein/serving';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { AskedReplica } from '../audit/index.ts';
import type { Choice, GenerationPort } from '../http/generation-port.ts';
import { cardOf, manifestOf, peerIdOf } from '../testing/fixtures.ts';
import { createRouter, type Router } from './router.ts';

const [ada, bob, cyd] = [peerIdOf(1), peerIdOf(2), peerIdOf(3)];
const held = manifestOf({ name: 'held' });
const served = manifestOf({ name: 'served' });
const input = { prompt: packPrompt({ type: 'text', text: 'Once' }), sampling: sampling(), stop: [] };
const { signal } = new AbortController();
const id = 'chatcmpl-1';

/** Answers for all leads: its calls to itself need no network. */
let member: Mesh;
let answering: Disposable;
/**
 * The behaviour of each deployment: fail with a code, at once or once it has begun; stay silent; or answer, which is
 * the default.
 */
let scripts: Record<string, ErrorCode | 'silent' | { readonly begun: ErrorCode }>;
/** Deployments that were asked, in order; and for which failed ones `ensure` was called. */
let asked: string[];
/** Ids of the requests that came with them. */
let requests: Set<string>;
let ensured: (readonly string[])[];

beforeEach(async () => {
  [scripts, asked, requests, ensured] = [{}, [], new Set(), []];
  member = await createMesh({
    ...(await (await Authority.ephemeral()).enroll(['peer'])),
    roles: ['peer'],
    mdns: false,
  });
  answering = member.handle(methods.generate, async (stream) => {
    const { deployment, request } = ((await stream.read())?.header ?? {}) as { deployment: string; request: string };
    asked.push(deployment);
    requests.add(request);
    const script = scripts[deployment];
    if (script === 'silent') return void (await stream.read());
    if (typeof script === 'string') throw new SkeinError(script, `${deployment} refuses`);
    await stream.write({ type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 8 });
    if (script !== undefined) throw new SkeinError(script.begun, `${deployment} is lost`);
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
  options: {
    readonly gone?: readonly string[];
    readonly out?: readonly string[];
    readonly deadlines?: Partial<GenerationDeadlines>;
  } = {},
): Router {
  const { gone = [], out = [], deadlines } = options;
  const canaries = { isOut: (id: string) => out.includes(id), out: () => out };
  const view = { snapshot: () => cards, onChange: () => () => undefined, watch: () => never() };
  const open: Mesh['open'] = async (_, method, openOptions) => await member.open(member.peerId, method, openOptions);
  const deployments = {
    mayServe: (id: string) => !gone.includes(id),
    wasTakenDown: () => false,
    peersOf: (id: string) => (id.startsWith('new-') ? [ada, cyd] : undefined),
    ensure: async (model: string, { failed = [] }: { readonly failed?: readonly string[] | undefined }) => {
      ensured.push(failed);
      return { deployment: `new-${ensured.length}-for-${model}`, lead: ada };
    },
  };
  const absent = () => ({ lost: [], isGathering: false });
  return createRouter({ mesh: { absent, cards: view, open }, deployments, canaries }, deadlines);
}

async function* never(): AsyncGenerator<readonly Card[]> {}

/** Returns the result of a choice, its text or the code of the error that ends it, and the deployment that had it last. */
async function outcomeOf(choice: Choice): Promise<{ outcome: string; deployment: string | undefined }> {
  let outcome = '';
  try {
    for await (const event of choice) if (event.type === 'text-delta') outcome += event.text;
  } catch (error) {
    outcome = asSkeinError(error).code;
  }
  return { outcome, deployment: choice.route?.deployment };
}

async function ask(router: GenerationPort, model: string, options: { readonly choices?: number } = {}) {
  const others = Array.from({ length: (options.choices ?? 1) - 1 }, () => input);
  return await Promise.all(router.generate(model, [input, ...others], { id, signal }).map(outcomeOf));
}

const twoLeads = [
  leadCard(ada, { deployment: 'deployment-1' }),
  leadCard(bob, { deployment: 'deployment-2', active: 1 }),
];

it('sends a request to the lead of its model that is expected to answer first', async () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1', active: 3 }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  const [choice] = router.generate(served.model, [input], { id, signal });
  expect(choice?.route).toBeUndefined();
  expect(choice && (await Array.fromAsync(choice))).toMatchObject([
    { type: 'generation-begin' },
    { text: 'upon' },
    { type: 'generation-end' },
  ]);
  expect(choice?.route).toEqual({ deployment: 'deployment-2', lead: bob });
});

it('sends nothing to a replica whose canary is out, and deploys the model anew when no other is left', async () => {
  const some = routerOver(twoLeads, { out: ['deployment-1'] });
  expect(await ask(some, served.model)).toMatchObject([{ outcome: 'upon', deployment: 'deployment-2' }]);
  expect(some.sequencesOf(served.model)).toHaveLength(1);
  const none = routerOver(twoLeads, { out: ['deployment-1', 'deployment-2'] });
  expect(await ask(none, served.model)).toMatchObject([{ deployment: `new-1-for-${served.model}` }]);
  expect(ensured).toEqual([['deployment-1', 'deployment-2']]);
});

it('sends all choices of a request to the lead that has begun the first', async () => {
  scripts = { 'deployment-1': 'overloaded' };
  const router = routerOver(twoLeads);
  expect(await ask(router, served.model, { choices: 3 })).toEqual(
    Array.from({ length: 3 }, () => ({ outcome: 'upon', deployment: 'deployment-2' })),
  );
  expect(asked).toEqual(['deployment-1', 'deployment-2', 'deployment-2', 'deployment-2']);
});

it('tries each choice again by itself, and counts each where it is', async () => {
  let requests = 0;
  answering[Symbol.dispose]();
  member.handle(methods.generate, async (stream) => {
    const { deployment } = ((await stream.read())?.header ?? {}) as { deployment: string };
    asked.push(deployment);
    requests += 1;
    // The third request is the last choice's: its lead is lost before a word.
    if (requests === 3) throw new SkeinError('stage-lost', 'lost');
    await stream.write({ type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 8 });
    await stream.write({ type: 'text-delta', text: 'upon', tokens: [1] });
    const usage = { promptTokens: 1, completionTokens: 1 };
    await stream.write({
      type: 'generation-end',
      finishReason: 'stop',
      usage,
      timings: { firstTokenMs: 1, decodeMs: 1 },
    });
  });
  const router = routerOver(twoLeads);
  const outcomes = await ask(router, served.model, { choices: 3 });
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['upon', 'upon', 'upon']);
  expect(asked).toEqual(['deployment-1', 'deployment-1', 'deployment-1', 'deployment-2']);
  expect(outcomes.filter(({ deployment }) => deployment === 'deployment-2')).toHaveLength(1);
  expect(ensured).toEqual([]);
});

it('ends the other choices with what the first failed with before it had begun', async () => {
  scripts = { 'deployment-1': 'context-length-exceeded' };
  const outcomes = await ask(routerOver(twoLeads), served.model, { choices: 3 });
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 3 }, () => 'context-length-exceeded'));
  expect(asked).toEqual(['deployment-1']);
});

it('sends nothing before a request is admitted, and nothing of one that never is', async () => {
  const router = routerOver(twoLeads);
  const admission = Promise.withResolvers<void>();
  const [choice] = router.generate(served.model, [input], { id, signal, admitted: admission.promise });
  const outcome = choice && outcomeOf(choice);
  await new Promise(setImmediate);
  expect(asked).toEqual([]);
  admission.resolve();
  expect(await outcome).toMatchObject({ outcome: 'upon' });
  const admitted = Promise.reject(new SkeinError('overloaded', 'nobody is free'));
  const [refused] = router.generate(served.model, [input], { id, signal, admitted });
  expect(refused && (await outcomeOf(refused))).toMatchObject({ outcome: 'overloaded' });
  expect(asked).toHaveLength(1);
});

it('counts the sequences of each replica that may serve, and has a model deployed', async () => {
  const cards = [...twoLeads, leadCard(cyd, { deployment: 'deployment-3' })];
  const router = routerOver(cards, { gone: ['deployment-3'], out: ['deployment-2'] });
  expect([router.sequencesOf(served.model), router.sequencesOf(held.model)]).toEqual([[4], []]);
  await router.prepare(held.model, { signal });
  expect(ensured).toEqual([['deployment-2']]);
});

it('deploys a model that nobody serves', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })]);
  expect(await ask(router, held.model)).toEqual([{ outcome: 'upon', deployment: `new-1-for-${held.model}` }]);
});

it('does not send requests to a deployment that is gone, though its card still shows it', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })], { gone: ['deployment-1'] });
  expect(await ask(router, served.model)).toMatchObject([{ deployment: `new-1-for-${served.model}` }]);
});

it.each(['peer-lost', 'stage-lost', 'overloaded', 'not-deployed', 'not-running'] as const)(
  'goes to another replica when the first fails with %s, begun or not',
  async (code) => {
    for (const script of [code, { begun: code }]) {
      scripts = { 'deployment-1': script };
      expect(await ask(routerOver(twoLeads), served.model)).toEqual([{ outcome: 'upon', deployment: 'deployment-2' }]);
    }
    expect(ensured).toEqual([]);
  },
);

it('deploys the model again for a request whose last replica was lost', async () => {
  scripts = { 'deployment-1': 'stage-lost', 'deployment-2': 'peer-lost' };
  expect(await ask(routerOver(twoLeads), served.model)).toMatchObject([{ deployment: `new-1-for-${served.model}` }]);
  expect(ensured).toEqual([['deployment-1', 'deployment-2']]);
});

it('deploys again once, and then says why it failed', async () => {
  scripts = { 'deployment-1': 'peer-lost', [`new-1-for-${served.model}`]: 'stage-lost' };
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })]);
  expect(await ask(router, served.model)).toMatchObject([{ outcome: 'stage-lost' }]);
  expect(asked).toEqual(['deployment-1', `new-1-for-${served.model}`]);
});

it('survives the loss of what it has just deployed', async () => {
  scripts = { [`new-1-for-${held.model}`]: 'stage-lost' };
  expect(await ask(routerOver([leadCard(ada, { deployment: 'deployment-1' })]), held.model)).toMatchObject([
    { outcome: 'upon', deployment: `new-2-for-${held.model}` },
  ]);
});

it.each([1, 3])('costs two engines at most, redeployed ones counted, with %i choices', async (choices) => {
  const dies = { begun: 'stage-lost' } as const;
  const many = [
    'deployment-1',
    'deployment-2',
    'deployment-3',
    ...[1, 2, 3, 4].map((nth) => `new-${nth}-for-${served.model}`),
  ];
  scripts = Object.fromEntries(many.map((deployment) => [deployment, dies]));
  const three = [...twoLeads, leadCard(cyd, { deployment: 'deployment-3', active: 2 })];
  for (const cards of [three, [leadCard(ada, { deployment: 'deployment-1' })]]) {
    asked = [];
    const [first] = await ask(routerOver(cards), served.model, { choices });
    expect(first?.outcome).toBe('request-kills-engines');
    expect(new Set(asked).size).toBe(2);
  }
});

it('deploys nothing for an answer that its client made up, which no replica continues', async () => {
  scripts = { 'deployment-1': 'invalid-request', 'deployment-2': 'context-length-exceeded' };
  const resume = { promptHash: 'b'.repeat(64), tokens: [1], emittedCharacters: 1 };
  const [choice] = routerOver(twoLeads).generate(served.model, [{ ...input, resume }], { id, signal });
  expect((choice && (await outcomeOf(choice)))?.outcome).toBe('context-length-exceeded');
  expect([asked.toSorted(), ensured]).toEqual([['deployment-1', 'deployment-2'], []]);
});

it('does not deploy more of a model whose replicas have too much to do', async () => {
  scripts = { 'deployment-1': 'overloaded', 'deployment-2': 'peer-lost' };
  expect(await ask(routerOver(twoLeads), served.model)).toMatchObject([{ outcome: 'overloaded' }]);
  expect(ensured).toEqual([]);
});

it('tells whom a request goes to: the stages of every replica that is asked', async () => {
  scripts = { 'deployment-1': 'stage-lost' };
  const place = { stages: 2, block: { from: 4, to: 8 }, state: 'ready' as const, active: 0, queued: 0, bytes: 0 };
  const stage = { deployment: 'deployment-1', model: served.model, name: 'served', contextTokens: 1024, sequences: 4 };
  const tail = cardOf({ peer: bob, card: { stages: [{ ...stage, ...place, stage: 1 }] } });
  const router = routerOver([tail, leadCard(ada, { deployment: 'deployment-1' })]);
  const replicas: AskedReplica[] = [];
  const choices = router.generate(served.model, [input], { id, signal, onAsk: (replica) => replicas.push(replica) });
  await Promise.all(choices.map(outcomeOf));
  expect(replicas).toEqual([
    { deployment: 'deployment-1', peers: [ada, bob] },
    { deployment: `new-1-for-${served.model}`, peers: [ada, cyd] },
  ]);
});

it('tells who reads an answer along, before it is sent there', async () => {
  const replicas: AskedReplica[] = [];
  const toldBefore = Promise.withResolvers<readonly AskedReplica[]>();
  member.handle(methods.readAlong, async (stream) => {
    toldBefore.resolve([...replicas]);
    await stream.read();
  });
  answering[Symbol.dispose]();
  member.handle(methods.generate, async (stream) => {
    await stream.read();
    await stream.write({ type: 'generation-begin', promptTokens: 1000, promptHash: 'a'.repeat(64), maxTokens: 8 });
    await stream.write({ type: 'text-delta', text: 'upon', tokens: [1] });
    await toldBefore.promise;
    const usage = { promptTokens: 1000, completionTokens: 1 };
    const timings = { firstTokenMs: 1, decodeMs: 1 };
    await stream.write({ type: 'generation-end', finishReason: 'stop', usage, timings });
  });
  const { stages, ...standby } = { ...leadCard(bob, { deployment: 'deployment-2' }), labels: { zone: 'eu' } };
  const router = routerOver([
    { ...leadCard(ada, { deployment: 'deployment-1' }), labels: { zone: 'eu' } },
    { ...standby, stages: stages.map((stage) => ({ ...stage, standby: true })) },
  ]);
  const options = { routing: { labels: { zone: 'eu' } }, onAsk: (replica: AskedReplica) => replicas.push(replica) };
  await Promise.all(router.generate(served.model, [input], { id, signal, ...options }).map(outcomeOf));
  expect(await toldBefore.promise).toMatchObject([
    { deployment: 'deployment-1', peers: [ada], machines: [{ peer: ada }] },
    { deployment: 'deployment-2', peers: [bob], machines: [{ peer: bob, labels: { zone: 'eu' } }], readsAlong: true },
  ]);
});

it('names a request alike in all attempts at all of its choices', async () => {
  scripts = { 'deployment-1': 'overloaded' };
  await ask(routerOver(twoLeads), served.model, { choices: 3 });
  expect(asked.length).toBeGreaterThan(3);
  expect([...requests]).toEqual([id]);
});

it('gives up on a lead that stays silent', async () => {
  scripts = { 'deployment-1': 'silent' };
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })], { deadlines: { firstTokenMs: 20 } });
  expect(await ask(router, served.model)).toMatchObject([{ outcome: 'deadline-exceeded' }]);
  expect(ensured).toEqual([]);
});

it('leaves no listener on the signal of a request, whatever came of it', async () => {
  scripts = { 'deployment-1': 'stage-lost' };
  const router = routerOver(twoLeads);
  const request = AbortSignal.any([signal]);
  await Promise.all(router.generate(served.model, [input, input], { id, signal: request }).map(outcomeOf));
  scripts = { 'deployment-1': 'overloaded', 'deployment-2': 'overloaded' };
  await Promise.all(router.generate(served.model, [input, input], { id, signal: request }).map(outcomeOf));
  expect(getEventListeners(request, 'abort')).toHaveLength(0);
});

it('offers what is held and what is served, each once', () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2' }),
  ]);
  const aliases: string[] = [];
  expect(router.models()).toEqual([
    {
      id: 'held',
      model: held.model,
      name: 'held',
      aliases,
      bytes: held.bytes,
      isServed: false,
      contextTokens: undefined,
    },
    {
      id: 'served',
      model: served.model,
      name: 'served',
      aliases,
      bytes: undefined,
      isServed: true,
      contextTokens: 1024,
    },
  ]);
  expect(router.find('Served')).toMatchObject({ model: served.model });
  expect(() => router.find('nobody')).toThrow(expect.objectContaining({ code: 'model-not-found' }));
});

it('does not offer what is held but can not generate', () => {
  const card = cardOf({ peer: ada, holds: [held] });
  const models = card.models.map((model) => ({ ...model, unusable: "can't generate text: it makes embeddings" }));
  expect(routerOver([{ ...card, models }]).models()).toEqual([]);
});

it('spreads requests that come together over replicas, before any card tells of them', async () => {
  const silent = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2' }),
  ]);
  const open = new AbortController();
  scripts = { 'deployment-1': 'silent', 'deployment-2': 'silent' };
  const waiting = Array.from({ length: 4 }, () =>
    silent.generate(served.model, [input], { id, signal: open.signal }).map(outcomeOf),
  ).flat();
  await vi.waitFor(() => expect(asked.toSorted()).toEqual([1, 1, 2, 2].map((nth) => `deployment-${nth}`)));
  open.abort();
  expect((await Promise.all(waiting)).map(({ outcome }) => outcome)).toEqual(
    Array.from({ length: 4 }, () => 'aborted'),
  );
  // Those are no longer counted: of the two that come now each gets a replica of its own.
  [scripts, asked] = [{}, []];
  await Promise.all([ask(silent, served.model), ask(silent, served.model)]);
  expect(asked.toSorted()).toEqual(['deployment-1', 'deployment-2']);
});

describe('a request with labels', () => {
  const labels = { zone: 'eu' };
  const inZone = (peer: string, zone: string, deployment: string): Card => ({
    ...leadCard(peer, { deployment }),
    labels: { zone },
  });

  async function askFor(cards: readonly Card[]) {
    const replicas: AskedReplica[] = [];
    const options = { id, signal, routing: { labels }, onAsk: (replica: AskedReplica) => replicas.push(replica) };
    const choices = routerOver(cards).generate(served.model, [input], options);
    return { outcomes: await Promise.all(choices.map(outcomeOf)), replicas };
  }

  it('goes to machines that have them, and to no other when those fail', async () => {
    scripts = { 'deployment-1': { begun: 'stage-lost' } };
    const cards = [
      inZone(ada, 'eu', 'deployment-1'),
      inZone(bob, 'us', 'deployment-2'),
      inZone(cyd, 'eu', 'deployment-3'),
    ];
    const { outcomes, replicas } = await askFor(cards);
    expect(outcomes).toEqual([{ outcome: 'upon', deployment: 'deployment-3' }]);
    expect(asked).not.toContain('deployment-2');
    for (const { machines = [] } of replicas) for (const machine of machines) expect(machine.labels).toEqual(labels);
    expect(replicas.at(-1)?.machines).toMatchObject([{ peer: cyd }]);
  });

  it('is refused where no replica has them, and nothing is deployed for it', async () => {
    const { outcomes } = await askFor([inZone(bob, 'us', 'deployment-2')]);
    expect(outcomes).toMatchObject([{ outcome: 'no-peers' }]);
    expect([asked, ensured]).toEqual([[], []]);
  });
});
