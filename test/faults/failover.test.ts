import { connect, type Generation } from '@skein/client';
import type { Mesh } from '@skein/mesh';
import { silentLogger, type HeldStage, type Logger } from '@skein/protocol';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { takeDown } from '../support/take-down.ts';

let cluster: Cluster;
let model: Awaited<ReturnType<typeof tinyModelFile>>;
let client: OpenAI;
let name: string;

/** Engines, and the deployment that began a generation last, as the peers log them. */
const engines: { readonly deployment: string; readonly stage: number; readonly pid: number }[] = [];
let serving: string | undefined;
/** Codes with which leads ended generations before their ends, since the last arrangement. */
let earlyEnds: string[] = [];
const logger: Logger = {
  ...silentLogger,
  info: (fields) => {
    const loaded = z.object({ deployment: z.string(), stage: z.number(), pid: z.number() }).safeParse(fields);
    if (loaded.success) engines.push(loaded.data);
  },
  debug: (fields, message) => {
    if (message === 'a generation begins') serving = z.object({ deployment: z.string() }).parse(fields).deployment;
    if (message === 'a generation ended early') earlyEnds.push(z.object({ code: z.string() }).parse(fields).code);
  },
};

beforeAll(async () => {
  // Quantized weights are multiplied alike, however many rows there are at once.
  model = await tinyModelFile('llama', { weights: 'q8_0' });
  cluster = await startCluster({ peers: 3, models: [model.path], contextTokens: 1024, logger });
  name = (await cluster.peers[0]?.store.list())?.[0]?.name ?? '';
  client = new OpenAI({ baseURL: `${cluster.coordinator.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

interface Arrangement {
  readonly replicas: number;
  readonly stages: number;
}

/** Deploys the model until so many replicas of so many stages serve, and nothing else. */
async function serve({ replicas, stages }: Arrangement): Promise<void> {
  const { deployments } = cluster.coordinator;
  earlyEnds = [];
  await takeDown(cluster.coordinator, (one) => one.state !== 'ready' || one.stages.length !== stages);
  while (deployments.list().length < replicas) await deployments.deploy({ model: name, stages, sequences: 4 });
  const seen = (mesh: Mesh) => mesh.cards.snapshot().flatMap((card) => card.stages.filter(isReadyLead)).length;
  await expect.poll(() => seen(cluster.coordinatorMesh), { timeout: 30_000 }).toBe(replicas);
}

function isReadyLead({ stage, state }: HeldStage): boolean {
  return stage === 0 && state === 'ready';
}

/** Kills an engine of the deployment that began a generation last. */
function killEngine(stage: number): void {
  const engine = engines.findLast((one) => one.deployment === serving && one.stage === stage);
  process.kill(engine?.pid ?? Number.NaN, 'SIGKILL');
}

type Settings = Partial<OpenAI.ChatCompletionCreateParamsStreaming> & Record<string, unknown>;

interface Answer {
  /** Texts of the choices. */
  readonly texts: readonly string[];
  readonly logprobs: readonly unknown[];
  readonly finishReasons: readonly unknown[];
  readonly usage: (OpenAI.CompletionUsage & { readonly failovers?: number; readonly pauseMs?: number }) | undefined;
  readonly ids: ReadonlySet<string>;
}

/** Reads a streamed answer; calls back after each piece of text. */
async function ask(settings: Settings, onPiece: (count: number) => void = () => undefined): Promise<Answer> {
  const texts: string[] = [];
  const finishReasons: unknown[] = [];
  const logprobs: unknown[] = [];
  const ids = new Set<string>();
  let usage: Answer['usage'];
  let pieces = 0;
  const stream = await client.chat.completions.create({
    model: name,
    messages: [{ role: 'user', content: 'once upon a time' }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 300,
    ...settings,
  } as OpenAI.ChatCompletionCreateParamsStreaming);
  for await (const chunk of stream) {
    ids.add(chunk.id);
    usage = (chunk.usage as Answer['usage']) ?? usage;
    for (const { index, delta, finish_reason, logprobs: described } of chunk.choices) {
      texts[index] = (texts[index] ?? '') + (delta.content ?? '');
      if (finish_reason !== null) finishReasons[index] = finish_reason;
      if (described?.content) logprobs.push(...described.content);
      if (delta.content) onPiece((pieces += 1));
    }
  }
  return { texts, logprobs, finishReasons, usage, ids };
}

/** Reads a generation of the SDK; calls back after each piece. */
async function collect(generation: Generation, onPiece: (count: number) => void) {
  const tokens: number[] = [];
  let pieces = 0;
  for await (const delta of generation) {
    tokens.push(...(delta.tokens ?? []));
    onPiece((pieces += 1));
  }
  return { tokens, result: await generation.result() };
}

const long = 'root ::= [a-z ]{280,}';
const endless = 'root ::= [a-z ] root';
const list = {
  type: 'array',
  minItems: 40,
  items: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] },
};

const cases: readonly (readonly [name: string, settings: Settings])[] = [
  ['greedy', { temperature: 0, max_tokens: 600, grammar: endless }],
  ['sampled', { temperature: 1, seed: 7, grammar: long }],
  ['with penalties and DRY', { temperature: 1, seed: 8, repeat_penalty: 1.2, dry_multiplier: 1, grammar: long }],
  ['with Mirostat', { temperature: 1, seed: 9, mirostat: 2, grammar: long }],
  [
    'that follows a JSON schema',
    { temperature: 1, seed: 10, response_format: { type: 'json_schema', json_schema: { name: 'ages', schema: list } } },
  ],
  ['of characters of several bytes', { temperature: 1, seed: 11, grammar: 'root ::= [äß€漢😀]{200,}' }],
  ['with log-probabilities', { temperature: 1, seed: 12, logprobs: true, top_logprobs: 2, grammar: long }],
  [
    'that holds text back for a stop string',
    { temperature: 1, seed: 13, stop: ['ababababac'], grammar: 'root ::= [ab]{280,}' },
  ],
];

describe.each([
  ['a replica', { replicas: 2, stages: 1 }, 0, cases],
  ['the lead of a split model', { replicas: 1, stages: 2 }, 0, cases.slice(0, 2)],
  ['the tail of a split model', { replicas: 1, stages: 2 }, 1, cases.slice(4, 6)],
] as const)('a streamed answer during which %s is killed', (_, arrangement, victim, some) => {
  it.each(some)('is what it would have been, %s', async (_name, settings) => {
    await serve(arrangement);
    const whole = await ask(settings);
    expect(whole.usage).not.toHaveProperty('failovers');
    expect(whole.usage).not.toHaveProperty('pauseMs');
    await serve(arrangement);
    const answer = await ask(settings, (count) => void (count === 9 && killEngine(victim)));
    expect(answer.texts).toEqual(whole.texts);
    expect(answer.logprobs).toEqual(whole.logprobs);
    expect(answer.finishReasons).toEqual(whole.finishReasons);
    expect(answer.ids.size).toBe(1);
    expect(answer.usage).toMatchObject({
      prompt_tokens: whole.usage?.prompt_tokens,
      completion_tokens: whole.usage?.completion_tokens,
      failovers: 1,
      pauseMs: expect.any(Number) as number,
    });
  });
});

it.each([1, 2])('goes on at another replica when its own of %i stages is cut, which is no loss', async (stages) => {
  const settings = { temperature: 1, seed: 17, max_tokens: 600, grammar: endless };
  await serve({ replicas: 2, stages });
  const whole = await ask(settings);
  const cut: Promise<unknown>[] = [];
  const answer = await ask(settings, (count) => {
    if (count === 9) cut.push(cluster.coordinator.deployments.undeploy(serving ?? '', { now: true }));
  });
  await Promise.all(cut);
  expect(answer.texts).toEqual(whole.texts);
  expect(answer.usage).toMatchObject({ completion_tokens: 600, failovers: 1 });
  expect(earlyEnds).toEqual(['handed-over']);
});

it('goes on as often as replicas are lost, on those that are deployed in their place', async () => {
  const arrangement = { replicas: 1, stages: 1 };
  const settings = { temperature: 1, seed: 14, max_tokens: 600, grammar: endless };
  await serve(arrangement);
  const whole = await ask(settings);
  const answer = await ask(settings, (count) => void ([9, 120, 240].includes(count) && killEngine(0)));
  expect(answer.texts).toEqual(whole.texts);
  expect(answer.usage).toMatchObject({ completion_tokens: whole.usage?.completion_tokens, failovers: 3 });
});

it('goes on with each choice of an answer that has several', async () => {
  const settings = { temperature: 1, seed: 15, n: 3, grammar: endless };
  await serve({ replicas: 2, stages: 1 });
  const answer = await ask(settings, (count) => void (count === 9 && killEngine(0)));
  expect(answer.finishReasons).toEqual(['length', 'length', 'length']);
  expect(new Set(answer.texts).size).toBe(3);
  expect(answer.usage?.completion_tokens).toBe(900);
  expect(answer.usage?.failovers).toBeGreaterThanOrEqual(1);
});

it('goes on for members that ask leads themselves, at another replica', async () => {
  await serve({ replicas: 2, stages: 1 });
  const { identity, membership } = await cluster.authority.enroll(['client']);
  const peers = cluster.coordinatorMesh.addresses();
  const mesh = { identity, membership, peers, mdns: false };
  await using member = await connect({ mesh });
  const ask = (onPiece: (count: number) => void = () => undefined) => {
    const generation = member.complete({
      prompt: 'once',
      temperature: 1,
      seed: 16,
      maxTokens: 300,

      grammar: endless,
    });
    return collect(generation, onPiece);
  };
  const whole = await ask();
  const answer = await ask((count) => void (count === 9 && killEngine(0)));
  expect(answer.tokens).toEqual(whole.tokens);
  expect(answer.result.text).toBe(whole.result.text);
  expect(answer.result.usage).toMatchObject({ completionTokens: 300, failovers: 1 });
});

it.each([
  ['its last stage', 2],
  ['its only stage', 1],
])('goes on, which is no loss, when the machine of %s is stopped in order', async (_, stages) => {
  // Another machine holds the model than the one that stops.
  for (const { peer, store } of cluster.peers.slice(1)) {
    await store.pull(model.path);
    await peer.announceModels();
  }
  const settings = { temperature: 1, seed: 18, speculation: false, max_tokens: 150, grammar: endless };
  await serve({ replicas: 1, stages });
  const whole = await ask(settings);
  const [deployment] = cluster.coordinator.deployments.list();
  const last = cluster.peers.find(({ mesh }) => mesh.peerId === deployment?.stages.at(-1)?.peer);
  const stopped: Promise<void>[] = [];
  const answer = await ask(settings, (count) => {
    if (count === 9 && last !== undefined) stopped.push(last.peer.stop());
  });
  await Promise.all(stopped);
  await last?.peer.start();
  expect(stopped).toHaveLength(1);
  expect(answer.texts).toEqual(whole.texts);
  expect(answer.usage).toMatchObject({ completion_tokens: 150, failovers: 1 });
  expect(earlyEnds).toEqual(['handed-over']);
});
