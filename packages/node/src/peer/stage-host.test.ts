import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, createMesh, PromptDigests, type FrameStream, type Mesh, type Schedule } from '@skein/mesh';
import {
  fromText,
  methods,
  packPrompt,
  parseHeader,
  prefixesEventSchema,
  plannedSpecSchema,
  silentLogger,
  stageEventSchema,
  unpackDigests,
  type Logger,
  type PlannedSpec,
  type Prompt,
  type Resume,
  type StageAttach,
  type StageCommand,
  type StageEvent,
  type StageLoad,
} from '@skein/protocol';
import { generate, readAlong, Transcript } from '@skein/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { createPeer } from './peer.ts';

const stack = new AsyncDisposableStack();
const warnings: object[] = [];
/** Process id of the engine that was loaded last. */
let enginePid = 0;
const logger: Logger = {
  ...silentLogger,
  warn: (fields) => void warnings.push(fields),
  info: (fields) => {
    if ('pid' in fields && typeof fields.pid === 'number') enginePid = fields.pid;
  },
};
let mesh: Mesh;
let load: Omit<StageLoad, 'type' | 'deployment'>;
/** Timers of grace times that run, with their callbacks by duration. */
const graceTimes = new Map<number, () => void>();
const schedule: Schedule = (delayMs, callback) => {
  graceTimes.set(delayMs, callback);
  return { [Symbol.dispose]: () => void graceTimes.delete(delayMs) };
};

/** A peer that holds a tiny model; it is its own coordinator. */
beforeAll(async () => {
  const directory = stack.use(await mkdtempDisposable(join(tmpdir(), 'skein-host-'))).path;
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
  mesh = await createMesh({
    ...(await (await Authority.ephemeral()).enroll(['peer', 'coordinator'])),
    roles: ['peer', 'coordinator'],
    mdns: false,
  });
  await mesh.start();
  stack.defer(async () => await mesh.stop());
  const store = await openStore(directory);
  const peer = createPeer({ mesh, store, directory, backend: 'cpu', threads: 1, logger, schedule });
  await peer.start();
  stack.defer(async () => await peer.stop());
  const { model } = await store.pull(file);
  const { manifest, digest } = await store.manifest(model);
  load = {
    manifest: digest,
    name: 'tiny',
    stage: 0,
    stages: 1,
    block: { from: 0, to: manifest.shape.layers },
    sources: [mesh.peerId],
    spec: plannedSpecSchema.parse({ model, contextTokens: 2048, sequences: 2 }),
  };
});

afterAll(async () => await stack.disposeAsync());

async function nextEvent(stream: FrameStream): Promise<StageEvent> {
  const frame = await stream.read();
  if (frame === undefined) throw new Error('the peer let go');
  return parseHeader(stageEventSchema, frame.header);
}

/** Makes the peer hold a stage that is ready. */
async function hold(
  deployment: string,
  options: Partial<PlannedSpec> = {},
  change: Partial<StageLoad> = {},
): Promise<FrameStream> {
  const stream = await mesh.open(mesh.peerId, methods.stage);
  await stream.write({
    type: 'stage-load',
    deployment,
    ...load,
    spec: { ...load.spec, ...options },
    ...change,
  } satisfies StageLoad);
  for (;;) if ((await nextEvent(stream)).type === 'stage-ready') return stream;
}

/** Takes over a stage 0. */
async function attach(deployment: string): Promise<FrameStream> {
  const stream = await mesh.open(mesh.peerId, methods.stage);
  await stream.write({ type: 'stage-attach', deployment, stage: 0 } satisfies StageAttach);
  return stream;
}

function begin(
  deployment: string,
  maxTokens: number,
  {
    prompt = { type: 'text', text: 'once upon a time' },
    resume,
  }: { prompt?: Prompt; resume?: Resume | undefined } = {},
) {
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
  const request = { deployment, prompt: packPrompt(prompt), sampling, maxTokens, stop: [] };
  return generate(mesh, mesh.peerId, { ...request, ...(resume && { resume }) });
}

function shownState(deployment: string): string | undefined {
  const stages = mesh.cards.snapshot().flatMap((card) => card.stages);
  return stages.find((stage) => stage.deployment === deployment)?.state;
}

it('drains a lead: what runs ends in full, nothing new is taken, and the coordinator hears when it is idle', async () => {
  const deployment = 'deployment-drained';
  await using stream = await hold(deployment);
  const [first, second] = [begin(deployment, 900), begin(deployment, 900)];
  await Promise.all([first.next(), second.next()]);
  process.kill(enginePid, 'SIGSTOP');
  await stream.write({ type: 'stage-drain' } satisfies StageCommand);
  expect(await nextEvent(stream)).toEqual({ type: 'stage-draining', running: 2 });
  expect(shownState(deployment)).toBe('draining');
  await expect(begin(deployment, 1).next()).rejects.toMatchObject({ code: 'not-deployed' });
  // One whose client goes away counts as one that has ended.
  await first.return();
  expect(await nextEvent(stream)).toEqual({ type: 'stage-draining', running: 1 });
  process.kill(enginePid, 'SIGCONT');
  const events = await Array.fromAsync(second);
  expect(events.at(-1)).toMatchObject({ type: 'generation-end', usage: { completionTokens: 900 } });
  expect(await nextEvent(stream)).toEqual({ type: 'stage-draining', running: 0 });
});

it('shows a standby as one until it is told to serve, and answers either way', async () => {
  const deployment = 'deployment-standby';
  await using stream = await hold(deployment, {}, { standby: true });
  const isStandby = () => {
    const stages = mesh.cards.snapshot().flatMap((card) => card.stages);
    return stages.find((stage) => stage.deployment === deployment)?.standby === true;
  };
  await expect.poll(isStandby).toBe(true);
  expect((await Array.fromAsync(begin(deployment, 2))).at(-1)).toMatchObject({ type: 'generation-end' });
  await stream.write({ type: 'stage-serve' } satisfies StageCommand);
  await expect.poll(isStandby).toBe(false);
});

it('tells a coordinator which prompts the cache of a lead holds, by digests with the key that it gave first', async () => {
  const deployment = 'deployment-told';
  await using _holding = await hold(deployment);
  const key = new Uint8Array(32).fill(7);
  await using stream = await mesh.open(mesh.peerId, methods.prefixes);
  await stream.write({ type: 'prefixes-ask', deployment, key });
  const next = async () => {
    const frame = await stream.read();
    return { event: parseHeader(prefixesEventSchema, frame?.header), payload: frame?.payload };
  };
  expect((await next()).event).toEqual({ type: 'prefixes-begin', key });
  const prompt: Prompt = { type: 'text', text: 'once upon a time '.repeat(80) };
  const digests = new PromptDigests(key).of(packPrompt(prompt));
  await Array.fromAsync(begin(deployment, 2, { prompt }));
  const told = new Set<number>();
  while (told.size < digests.length) {
    const { event, payload = new Uint8Array(0) } = await next();
    if (event.type === 'prefixes-change') for (const digest of unpackDigests(event, payload).added) told.add(digest);
  }
  expect(told).toEqual(new Set(digests));
  // Later ones learn the key, and give none.
  await using second = await mesh.open(mesh.peerId, methods.prefixes);
  await second.write({ type: 'prefixes-ask', deployment, key: new Uint8Array(32) });
  expect(parseHeader(prefixesEventSchema, (await second.read())?.header)).toEqual({ type: 'prefixes-begin', key });
});

it('lets a text that the engine has ended reach a slow reader after the stage is gone', async () => {
  const deployment = 'deployment-slow';
  const stream = await hold(deployment);
  const events = begin(deployment, 300);
  await events.next();
  await stream.write({ type: 'stage-drain' } satisfies StageCommand);
  // Nobody reads the generation meanwhile.
  for (;;) {
    const event = await nextEvent(stream);
    if (event.type === 'stage-draining' && event.running === 0) break;
  }
  await stream.end();
  await stream.closed;
  const rest = await Array.fromAsync(events);
  expect(rest.at(-1)).toMatchObject({ type: 'generation-end', usage: { completionTokens: 300 } });
});

it('resumes a generation that another lead had begun', async () => {
  const [first, second] = ['deployment-first', 'deployment-second'];
  await using _first = await hold(first);
  await using _second = await hold(second);
  const whole = await Array.fromAsync(begin(first, 40));
  const deltas = whole.filter((event) => event.type === 'text-delta');
  const transcript = new Transcript();
  for (const update of whole.slice(0, 16)) transcript.add(update);
  const resume = transcript.continuation?.resume;
  const rest = await Array.fromAsync(begin(second, 40, { resume }));
  expect(rest.filter((event) => event.type === 'text-delta')).toEqual(deltas.slice(15));
  expect(rest.at(-1)).toMatchObject({ type: 'generation-end', usage: { completionTokens: 40 } });
});

it('reads conversations by the template that its deployment brought', async () => {
  const deployment = 'deployment-template';
  const chatTemplate = 'Once {{ messages[0].content }} a time';
  await using _stream = await hold(deployment, { chatTemplate });
  const begun = async (prompt: Prompt) => (await begin(deployment, 1, { prompt }).next()).value;
  const chat = await begun({ type: 'chat', messages: [fromText({ role: 'user', content: 'upon' })] });
  const text = await begun({ type: 'text', text: 'Once upon a time' });
  expect(chat).toMatchObject({ type: 'generation-begin' });
  expect(chat).toEqual(text);
});

it.each([0, 1])('refuses a template that does not parse, on stage %d of two', async (stage) => {
  await using stream = await mesh.open(mesh.peerId, methods.stage);
  const layers = load.block.to;
  const block = stage === 0 ? { from: 0, to: layers / 2 } : { from: layers / 2, to: layers };
  const spec = { ...load.spec, chatTemplate: '{% for message in messages %}{{ message.content' };
  const request = { ...load, stage, stages: 2, block, previous: mesh.peerId, spec };
  await stream.write({ type: 'stage-load', deployment: `deployment-broken-${stage}`, ...request } satisfies StageLoad);
  let event = await nextEvent(stream);
  while (event.type === 'stage-progress') event = await nextEvent(stream);
  expect(event).toMatchObject({
    type: 'stage-failed',
    error: {
      code: 'invalid-request',
      message: expect.stringContaining('chatTemplate does not parse') as string,
      details: { param: 'chatTemplate' },
    },
  });
});

describe('a stage whose coordinator is gone', () => {
  const graceMs = 600_000;

  it('goes on with its answers, and serves the coordinator that attaches to it', async () => {
    const deployment = 'deployment-kept';
    const first = await hold(deployment, {}, { graceMs });
    const answer = begin(deployment, 300);
    await answer.next();
    first.abort();
    await first.closed;
    await expect.poll(() => graceTimes.has(graceMs)).toBe(true);
    const second = await attach(deployment);
    expect(await nextEvent(second)).toMatchObject({ type: 'stage-ready', placement: { backend: 'cpu' } });
    expect(graceTimes.has(graceMs)).toBe(false);
    expect((await Array.fromAsync(answer)).at(-1)).toMatchObject({ usage: { completionTokens: 300 } });
    await second.write({ type: 'stage-unload' } satisfies StageCommand);
    expect(await second.read()).toBeUndefined();
    expect(shownState(deployment)).toBeUndefined();
  });

  it('is unloaded after its grace time, once nobody uses it', async () => {
    const deployment = 'deployment-left';
    const stream = await hold(deployment, {}, { graceMs });
    const answer = begin(deployment, 900);
    await answer.next();
    await stream.end();
    await expect.poll(() => graceTimes.has(graceMs)).toBe(true);
    graceTimes.get(graceMs)?.();
    expect(shownState(deployment)).toBe('ready');
    await answer.return();
    const load = () => mesh.cards.snapshot()[0]?.stages.find((stage) => stage.deployment === deployment)?.active;
    await expect.poll(load).toBe(0);
    graceTimes.get(graceMs)?.();
    await expect.poll(() => shownState(deployment)).toBeUndefined();
  });

  it('is unloaded at once without a grace time, and where it did not serve yet', async () => {
    const [alone, half] = ['deployment-alone', 'deployment-half'];
    await (await hold(alone)).end();
    const block = { from: 0, to: load.block.to / 2 };
    const stream = await hold(half, {}, { graceMs, stages: 2, block, previous: mesh.peerId });
    stream.abort();
    await expect.poll(() => [shownState(alone), shownState(half)]).toEqual([undefined, undefined]);
    const late = await attach(half);
    await expect(nextEvent(late)).rejects.toMatchObject({ code: 'not-deployed' });
  });

  it('is taken over from one that still holds it, which is told', async () => {
    const deployment = 'deployment-taken';
    const first = await hold(deployment, {}, { graceMs });
    await using second = await attach(deployment);
    expect(await nextEvent(second)).toMatchObject({ type: 'stage-ready' });
    await expect(nextEvent(first)).rejects.toMatchObject({ message: expect.stringContaining('taken') as string });
    await first.end();
    expect(shownState(deployment)).toBe('ready');
    await second.write({ type: 'stage-unload' } satisfies StageCommand);
    expect(await second.read()).toBeUndefined();
  });
});

it('ends the stage of a coordinator that breaks the protocol, and tells it and the log why', async () => {
  const deployment = 'deployment-broken';
  await using stream = await hold(deployment);
  warnings.length = 0;
  await stream.write({ type: 'stage-dance' });
  expect(await nextEvent(stream)).toMatchObject({ type: 'stage-failed', error: { code: 'protocol-violation' } });
  expect(warnings).toMatchObject([{ deployment, coordinator: mesh.peerId, code: 'protocol-violation' }]);
  await expect.poll(() => shownState(deployment)).toBeUndefined();
});

it('reads along what another lead generates, as long as it takes generations, and keeps it for its continuation', async () => {
  const deployment = 'deployment-along';
  await using stream = await hold(deployment);
  const text = 'once upon a time there was a river that rose in the night and took the bridge with it';
  const prompt: Prompt = { type: 'text', text };
  const transcript = new Transcript();
  for await (const event of begin(deployment, 20, { prompt })) transcript.add(event);
  const { resume } = transcript.continuation ?? {};
  if (resume === undefined) throw new Error('it has not begun');
  const other = 'deployment-follows';
  await using second = await hold(other);
  const { promptHash, tokens } = resume;
  const read = async (reading = {}) => {
    const input = { prompt: packPrompt(prompt), askedAt: 0, promptHash, tokens, ...reading };
    await readAlong(mesh, { deployment: other, lead: mesh.peerId }, input, { id: 'request-1' });
  };
  await read();
  const rest = await Array.fromAsync(begin(other, 21, { prompt, resume }));
  const end = rest.at(-1);
  if (end?.type !== 'generation-end') throw new Error('it has not ended');
  expect(end.usage.cachedTokens).toBe(end.usage.promptTokens);
  await expect(read({ promptHash: '0'.repeat(64) })).rejects.toMatchObject({ code: 'invalid-request' });
  await second.write({ type: 'stage-drain' } satisfies StageCommand);
  expect(await nextEvent(second)).toEqual({ type: 'stage-draining', running: 0 });
  await expect(read()).rejects.toMatchObject({ code: 'not-deployed' });
  for (const one of [stream, second]) await one.write({ type: 'stage-unload' } satisfies StageCommand);
});

it('tells those who understand it that they are to leave, hands the others over, and all when the time is over', async () => {
  const deployment = 'deployment-leaving';
  await using stream = await hold(deployment);
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
  const prompt = packPrompt({ type: 'text', text: 'once' });
  const request = { deployment, prompt, sampling, maxTokens: 1900, stop: [], mayHandOver: true };
  const told = Promise.withResolvers<void>();
  const hears = generate(mesh, mesh.peerId, request, { onLeaving: told.resolve });
  const deaf = generate(mesh, mesh.peerId, request);
  await Promise.all([hears.next(), deaf.next()]);
  process.kill(enginePid, 'SIGSTOP');
  await stream.write({ type: 'stage-drain', handOver: true, withinMs: 60_000 } satisfies StageCommand);
  expect(await nextEvent(stream)).toEqual({ type: 'stage-draining', running: 1 });
  await expect(Array.fromAsync(deaf)).rejects.toMatchObject({ code: 'handed-over' });
  const rest = Array.fromAsync(hears).catch((error: unknown) => error);
  await told.promise;
  graceTimes.get(60_000)?.();
  expect(await rest).toMatchObject({ code: 'handed-over' });
  process.kill(enginePid, 'SIGCONT');
  expect(await nextEvent(stream)).toEqual({ type: 'stage-draining', running: 0 });
});
