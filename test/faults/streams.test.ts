import { connect } from '@skein/client';
import { createCoordinator, type Coordinator } from '@skein/coordinator';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let model: string;
let other: Coordinator;

/** A model, and two coordinators that route to it, of which the first has deployed it. */
beforeAll(async () => {
  const file = stack.use(await tinyModelFile('llama', { weights: 'q8_0' }));
  cluster = stack.use(await startCluster({ peers: 1, models: [file.path], contextTokens: 512 }));
  model = (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
  await cluster.coordinator.deployments.deploy({ model });
  other = await startAnother();
});

/** Starts another coordinator that sees the model. */
async function startAnother(): Promise<Coordinator> {
  const mesh = await cluster.join(['coordinator']);
  for await (const cards of mesh.cards.watch()) {
    if (cards.some(({ stages }) => stages.some(({ state }) => state === 'ready'))) break;
  }
  const coordinator = createCoordinator({ mesh, port: 0 });
  await coordinator.start();
  stack.defer(async () => await coordinator.stop());
  return coordinator;
}

afterAll(async () => await stack.disposeAsync());

/** The seed is one with which the answer does not end early: nothing would be left to be continued. */
const asked = { prompt: 'once upon a time', max_tokens: 24, temperature: 1.2, seed: 5, stream: true };

/** Reads the events of a stream: so many, and then breaks the connection, or all. */
async function events(coordinator: Coordinator, options: { last?: string | undefined; most?: number } = {}) {
  const { last, most = Infinity } = options;
  const left = new AbortController();
  const response = await fetch(`${coordinator.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(last !== undefined && { 'last-event-id': last }) },
    body: JSON.stringify({ model, ...asked }),
    signal: left.signal,
  });
  expect(response.status).toBe(200);
  const found: { id: string; data: string }[] = [];
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const event of whole) {
      const [, id = '', data = ''] = /^id: (.*)\ndata: (.*)$/.exec(event) ?? [];
      if (id !== '' && found.length < most) found.push({ id, data });
    }
    if (found.length >= most) break;
  }
  left.abort();
  return found;
}

const textOf = (found: readonly { data: string }[]) =>
  found.map(({ data }) => /"text":("(?:[^"\\]|\\.)*")/.exec(data)?.[1] ?? '""').map((text) => JSON.parse(text) as string).join(''); // prettier-ignore

it('continues a sampled answer of a real engine at another coordinator, and at its own, at the very token', async () => {
  const begun = await events(cluster.coordinator, { most: 6 });
  const last = begun.at(-1)?.id;
  const [there, here] = [await events(other, { last }), await events(cluster.coordinator, { last })];
  expect(there.at(-1)?.data).toBe('[DONE]');
  expect(here.map(({ id }) => id)).toEqual(there.map(({ id }) => id));
  expect(textOf(here)).toBe(textOf(there));
  expect(textOf(begun).length).toBeGreaterThan(0);
});

it('has the SDK move to another coordinator by itself, with the tokens that it has', async () => {
  const first = await startAnother();
  const settings = { model, prompt: asked.prompt, maxTokens: 300, temperature: 1.2, seed: 5 };
  await using client = await connect({ url: [first.url, other.url] });
  const moved = client.complete(settings);
  const tokens: number[] = [];
  for await (const delta of moved) {
    tokens.push(...(delta.tokens ?? []));
    if (tokens.length === 3) void first.stop();
  }
  const whole = client.complete(settings);
  const expected: number[] = [];
  for await (const delta of whole) expected.push(...(delta.tokens ?? []));
  expect(tokens).toEqual(expected);
  expect(await moved.result()).toMatchObject({
    text: (await whole.result()).text,
    usage: { completionTokens: (await whole.result()).usage.completionTokens },
  });
});
