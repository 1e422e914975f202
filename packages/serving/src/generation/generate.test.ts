import { getEventListeners } from 'node:events';

import type { Mesh, StreamHandler } from '@skein/mesh';
import { Cluster } from '@skein/mesh/testing';
import { methods, packPrompt, SkeinError, type GenerationEvent } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { generate } from './generate.ts';

const request = {
  deployment: 'deployment-1',
  prompt: packPrompt({ type: 'text', text: 'Once' }),
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  stop: [],
};
const delta = (text: string): GenerationEvent => ({ type: 'text-delta', text, tokens: [1] });
const end: GenerationEvent = {
  type: 'generation-end',
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 2 },
  timings: { firstTokenMs: 1, decodeMs: 1 },
};

let cluster: Cluster;
let lead: Mesh;
let client: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  lead = await cluster.add();
  client = await cluster.add([lead], { roles: ['client'] });
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

async function collect(handler: StreamHandler): Promise<GenerationEvent[]> {
  lead.handle(methods.generate, handler);
  return await Array.fromAsync(generate(client, lead.peerId, request));
}

test('yields text as it comes and then the end', async () => {
  const events = await collect(async (stream) => {
    const frame = await stream.read();
    const { prompt, ...settings } = request;
    expect(frame?.header).toEqual({
      type: 'generate',
      request: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      prompt: prompt.type,
      ...settings,
    });
    expect(Uint8Array.from(frame?.payload ?? [])).toEqual(prompt.bytes);
    for (const event of [delta('upon'), delta(' a'), end]) await stream.write(event);
  });
  expect(events).toEqual([delta('upon'), delta(' a'), end]);
});

test("throws the lead's error", async () => {
  const failing = collect(async (stream) => {
    await stream.write({ type: 'generation-error', error: { code: 'stage-lost', message: 'a stage went away' } });
  });
  await expect(failing).rejects.toMatchObject({ code: 'stage-lost', message: 'a stage went away' });
});

test('throws the refusal of a lead that takes no more', async () => {
  const refused = collect(async () => {
    throw new SkeinError('overloaded', 'the queue is full');
  });
  await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryable: true });
});

test('calls a generation without an end lost, whether the stream ended or broke', async () => {
  const ended = collect(async (stream) => await stream.write(delta('upon')));
  await expect(ended).rejects.toMatchObject({ code: 'peer-lost' });
});

test('refuses events that are none', async () => {
  const nonsense = collect(async (stream) => await stream.write({ type: 'text-delta', text: 5 }));
  await expect(nonsense).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('gives the sequence up at the lead when the loop is left or the signal aborted', async () => {
  const gone: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()];
  let calls = 0;
  lead.handle(methods.generate, async (stream, { signal }) => {
    const left = gone[calls++];
    signal.addEventListener('abort', () => left?.resolve());
    while (!signal.aborted) {
      await stream.write(delta('again'));
      await new Promise(setImmediate);
    }
  });
  for await (const event of generate(client, lead.peerId, request)) {
    expect(event.type).toBe('text-delta');
    break;
  }
  await gone[0]?.promise;

  const controller = new AbortController();
  const consuming = async (): Promise<void> => {
    for await (const _ of generate(client, lead.peerId, request, { signal: controller.signal })) controller.abort();
  };
  await expect(consuming()).rejects.toMatchObject({ code: 'aborted' });
  await gone[1]?.promise;
});

test('passes on that the lead has begun, once', async () => {
  const begin: GenerationEvent = {
    type: 'generation-begin',
    promptTokens: 3,
    promptHash: 'a'.repeat(64),
    maxTokens: 8,
  };
  const events = await collect(async (stream) => {
    for (const event of [begin, delta('upon'), end]) await stream.write(event);
  });
  expect(events).toEqual([begin, delta('upon'), end]);
});

test('leaves no listener on the signal of its caller', async () => {
  lead.handle(methods.generate, async (stream) => {
    for (const event of [delta('upon'), end]) await stream.write(event);
  });
  const signal = AbortSignal.any([new AbortController().signal]);
  const deadlines = { firstTokenMs: 60_000, gapMs: 60_000 };
  for (let round = 0; round < 3; round += 1) {
    await Array.fromAsync(generate(client, lead.peerId, request, { signal, deadlines }));
    for await (const _ of generate(client, lead.peerId, request, { signal })) break;
  }
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test.each([
  ['twice', ['generation-begin', 'generation-begin']],
  ['after its first text', ['text-delta', 'generation-begin']],
])('refuses a lead that begins %s', async (_, types) => {
  const begin: GenerationEvent = {
    type: 'generation-begin',
    promptTokens: 3,
    promptHash: 'a'.repeat(64),
    maxTokens: 8,
  };
  const twice = collect(async (stream) => {
    for (const type of types) await stream.write(type === 'text-delta' ? delta('upon') : begin);
    await stream.write(end);
  });
  await expect(twice).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('does not take it for a first token that the lead has begun', async () => {
  const freed = Promise.withResolvers<void>();
  lead.handle(methods.generate, async (stream, { signal }) => {
    signal.addEventListener('abort', () => freed.resolve());
    await stream.write({ type: 'generation-begin', promptTokens: 3, promptHash: 'a'.repeat(64), maxTokens: 8 });
    await freed.promise;
  });
  const events: GenerationEvent[] = [];
  const waiting = async (): Promise<void> => {
    const deadlines = { firstTokenMs: 1000, gapMs: 60_000 };
    for await (const event of generate(client, lead.peerId, request, { deadlines })) events.push(event);
  };
  await expect(waiting()).rejects.toMatchObject({ code: 'deadline-exceeded', message: /no first token came/ });
  expect(events.map(({ type }) => type)).toEqual(['generation-begin']);
  await freed.promise;
});

test.each([
  ['a first event', 0],
  ['the next event', 1],
])('gives up on a lead that does not send %s in time, and frees the sequence', async (_, sent) => {
  const freed = Promise.withResolvers<void>();
  lead.handle(methods.generate, async (stream, { signal }) => {
    signal.addEventListener('abort', () => freed.resolve());
    for (let count = 0; count < sent; count += 1) await stream.write(delta('upon'));
    await freed.promise;
  });
  // The first one counts from before the stream is opened, which takes its time on a busy machine.
  const deadlines = sent === 0 ? { firstTokenMs: 1000, gapMs: 60_000 } : { firstTokenMs: 60_000, gapMs: 50 };
  const events: GenerationEvent[] = [];
  const waiting = async (): Promise<void> => {
    for await (const event of generate(client, lead.peerId, request, { deadlines })) events.push(event);
  };
  await expect(waiting()).rejects.toMatchObject({ code: 'deadline-exceeded', message: /within (1|0.05) s; try again/ });
  expect(events).toHaveLength(sent);
  await freed.promise;
});
