import { once } from 'node:events';

import { Authority, createMesh } from '@skein/mesh';
import { SkeinError, type GenerationRequest } from '@skein/protocol';
import { expect, test } from 'vitest';

import { createClient, type SkeinClient } from '../client.ts';
import { connect } from '../connect.ts';
import { defaultDeadlines } from '../generation/deadlines.ts';
import { startLead, type Answer, type FakeLead } from '../testing/lead.ts';
import { MeshTransport } from './mesh-transport.ts';

const question = { messages: [{ role: 'user' as const, content: 'hello' }] };
const end = {
  type: 'generation-end',
  finishReason: 'stop',
  usage: { promptTokens: 3, completionTokens: 2 },
  timings: { firstTokenMs: 5, decodeMs: 7 },
} as const;

const answerInFull: Answer = async (stream) => {
  await stream.write({ type: 'text-delta', text: 'one ', tokens: [1] });
  await stream.write({ type: 'text-delta', text: 'two', tokens: [2] });
  await stream.write(end);
  await stream.end();
};

function over({ invite }: { readonly invite: string }) {
  return { mesh: { invite, mdns: false } };
}

/** A client that sees all of these leads. */
async function clientOf(
  authority: Authority,
  leads: readonly FakeLead[],
  options: ConstructorParameters<typeof MeshTransport>[1] = {},
): Promise<SkeinClient> {
  const peers = leads.flatMap(({ addresses }) => addresses);
  const mesh = await createMesh({ ...(await authority.enroll(['client'])), roles: ['client'], mdns: false, peers });
  await mesh.start();
  for await (const cards of mesh.cards.watch()) {
    if (cards.flatMap(({ stages }) => stages).length === leads.length) break;
  }
  return createClient(new MeshTransport(mesh, options), defaultDeadlines);
}

test('asks the lead itself, and streams text, tokens and timings', async () => {
  const asked: GenerationRequest[] = [];
  await using lead = await startLead({
    model: 'tiny',
    answer: async (stream, request) => {
      asked.push(request);
      await answerInFull(stream, request);
    },
  });
  await using client = await connect(over(lead));
  const generation = client.chat({ ...question, temperature: 0, maxTokens: 9, stop: ['.'] });
  const tokens: number[] = [];
  for await (const delta of generation) tokens.push(...(delta.tokens ?? []));
  const { type: _, ...ending } = end;
  expect(tokens).toEqual([1, 2]);
  expect(await generation.result()).toEqual({ text: 'one two', ...ending });
  expect(asked).toMatchObject([
    { deployment: 'deployment-of-tiny', maxTokens: 9, stop: ['.'], sampling: { temperature: 0 } },
  ]);
});

test('passes on how to draw and what the text is to follow, and gives log-probabilities a text', async () => {
  const asked: GenerationRequest[] = [];
  const bytes = [104, 105];
  await using lead = await startLead({
    model: 'tiny',
    answer: async (stream, request) => {
      asked.push(request);
      const logprobs = [{ token: 1, logprob: -1, bytes, top: [{ token: 2, logprob: -2, bytes: [0xe2] }] }];
      await stream.write({ type: 'text-delta', text: 'hi', tokens: [1], logprobs });
      await stream.write({ ...end, usage: { ...end.usage, cachedTokens: 2 } });
      await stream.end();
    },
  });
  await using client = await connect(over(lead));
  const settings = { penalties: { repeat: 1.1 }, logprobs: 1, jsonSchema: { type: 'object' }, speculation: false };
  const generation = client.chat({ ...question, ...settings });
  const [delta] = await Array.fromAsync(generation);
  expect(delta?.logprobs).toEqual([
    { token: 1, text: 'hi', bytes, logprob: -1, top: [{ token: 2, text: '\uFFFD', bytes: [0xe2], logprob: -2 }] },
  ]);
  expect((await generation.result()).usage.cachedTokens).toBe(2);
  expect(asked).toMatchObject([
    {
      sampling: { penalties: { repeat: 1.1, lastTokens: 64, presence: 0, frequency: 0 }, logprobs: 1 },
      jsonSchema: '{"type":"object"}',
      speculation: false,
    },
  ]);
});

test.each([
  ['messages: expected at least 1 item', { messages: [] }],
  ['messages is missing: expected an array', {} as typeof question],
  ['messages[0].content: expected a string', { messages: [{ role: 'user', content: null as unknown as string }] }],
  ['temperature: expected a number of at most 2', { ...question, temperature: 3 }],
  ['maxTokens: expected a number of more than 0', { ...question, maxTokens: 0 }],
  ['stop: expected at most 16 items', { ...question, stop: Array.from({ length: 17 }, () => '.') }],
] as const)('refuses what no lead takes before anything is sent: %s', async (message, request) => {
  await using lead = await startLead({ model: 'tiny', answer: answerInFull });
  await using client = await connect(over(lead));
  const asked = (async () => await client.chat(request).result())();
  await expect(asked).rejects.toMatchObject({ code: 'invalid-request', message });
});

test('refuses a prompt without tokens, and options that name nothing to connect to', async () => {
  await using lead = await startLead({ model: 'tiny', answer: answerInFull });
  await using client = await connect(over(lead));
  const asked = (async () => await client.complete({ prompt: [] }).result())();
  const message = expect.stringMatching(/^prompt: must be 1 to \d+ token ids$/) as string;
  await expect(asked).rejects.toMatchObject({ code: 'invalid-request', message });
  const nowhere = connect({} as Parameters<typeof connect>[0]);
  await expect(nowhere).rejects.toMatchObject({
    code: 'invalid-request',
    message: 'connect() needs the `url` of a coordinator, like http://127.0.0.1:7331, or a `mesh` to be a member of',
  });
});

test('lists what is deployed, and says how to deploy what is not', async () => {
  await using lead = await startLead({ model: 'tiny', answer: answerInFull });
  await using client = await connect(over(lead));
  expect(await client.models()).toEqual([{ name: 'tiny', isDeployed: true }]);
  await expect(client.chat({ ...question, model: 'other' }).result()).rejects.toMatchObject({
    code: 'not-deployed',
    message: expect.stringContaining('skein deploy'),
  });
});

test('asks the model that is meant, where two have one name', async () => {
  const authority = await Authority.ephemeral();
  const [first, second] = ['b'.repeat(64), 'c'.repeat(64)] as const;
  const asked: string[] = [];
  const answer =
    (which: string): Answer =>
    async (stream, request) => {
      asked.push(which);
      await stream.write({ type: 'generation-begin', promptTokens: 3, promptHash: 'a'.repeat(64), maxTokens: 8 });
      await answerInFull(stream, request);
    };
  await using one = await startLead({ model: 'Tiny', sha256: first, authority, active: 3, answer: answer('one') });
  await using other = await startLead({ model: 'Tiny', sha256: second, authority, answer: answer('other') });
  await using client = await clientOf(authority, [one, other]);
  expect(await client.models()).toEqual([first, second].map((name) => ({ name, isDeployed: true })));
  await expect(client.chat({ ...question, model: 'tiny' }).result()).rejects.toMatchObject({
    code: 'invalid-request',
    message: expect.stringContaining(`${first}, ${second}`),
  });
  expect((await client.chat({ ...question, model: first }).result()).text).toBe('one two');
  expect((await client.chat({ ...question, model: second }).result()).text).toBe('one two');
  // A request that names no model gets the same one each time, whatever the load.
  await client.chat(question).result();
  await client.chat(question).result();
  expect(asked).toEqual(['one', 'other', 'one', 'one']);
});

test('connects to a mesh where nothing is deployed', async () => {
  await using lead = await startLead({});
  await using client = await connect(over(lead));
  expect(await client.models()).toEqual([]);
});

test('frees the lead at once when the reader leaves', async () => {
  const freed = Promise.withResolvers<void>();
  await using lead = await startLead({
    model: 'tiny',
    answer: async (stream) => {
      await stream.write({ type: 'text-delta', text: 'first', tokens: [1] });
      await once(stream.lost, 'abort');
      freed.resolve();
    },
  });
  await using client = await connect(over(lead));
  for await (const { text } of client.chat(question)) {
    expect(text).toBe('first');
    break;
  }
  await freed.promise;
});

test('goes to another lead when one refuses before the first token', async () => {
  const authority = await Authority.ephemeral();
  const asked: string[] = [];
  const refuse: Answer = async () => {
    asked.push('idle');
    throw new SkeinError('overloaded', 'the queue is full');
  };
  await using idle = await startLead({ model: 'tiny', authority, answer: refuse });
  await using busy = await startLead({ model: 'tiny', authority, active: 3, answer: answerInFull });
  await using client = await clientOf(authority, [idle, busy]);
  expect((await client.chat(question).result()).text).toBe('one two');
  expect(asked).toEqual(['idle']);
});

test('spreads requests that are made together over the leads', async () => {
  const authority = await Authority.ephemeral();
  const asked: string[] = [];
  const [all, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const answer: Answer = async (stream, request) => {
    asked.push(request.deployment);
    if (asked.length === 4) all.resolve();
    await go.promise;
    await answerInFull(stream, request);
  };
  await using one = await startLead({ model: 'tiny', deployment: 'deployment-1', authority, answer });
  await using other = await startLead({ model: 'tiny', deployment: 'deployment-2', authority, answer });
  await using client = await clientOf(authority, [one, other]);
  const answers = Promise.all(Array.from({ length: 4 }, async () => await client.chat(question).result()));
  await all.promise;
  go.resolve();
  await answers;
  expect(asked.toSorted()).toEqual(['deployment-1', 'deployment-1', 'deployment-2', 'deployment-2']);
});

test('says why when every lead refuses', async () => {
  const refuse: Answer = async () => {
    throw new SkeinError('overloaded', 'the queue is full');
  };
  await using lead = await startLead({ model: 'tiny', answer: refuse });
  await using client = await connect(over(lead));
  await expect(client.chat(question).result()).rejects.toMatchObject({ code: 'overloaded' });
});

test('does not start over once text was seen', async () => {
  await using lead = await startLead({
    model: 'tiny',
    answer: async (stream) => {
      await stream.write({ type: 'text-delta', text: 'half', tokens: [1] });
      throw new SkeinError('stage-lost', 'a stage was lost');
    },
  });
  await using client = await connect(over(lead));
  await expect(client.chat(question).result()).rejects.toMatchObject({ code: 'stage-lost' });
});

const begin = { type: 'generation-begin', promptTokens: 3, promptHash: 'a'.repeat(64), maxTokens: 8 } as const;

test('waits for another replica when the one with half an answer is lost, and has it go on there', async () => {
  const authority = await Authority.ephemeral();
  const asked: GenerationRequest[] = [];
  await using next = await startLead({
    model: 'tiny',
    deployment: 'deployment-2',
    state: 'loading',
    authority,
    answer: async (stream, request) => {
      asked.push(request);
      await stream.write(begin);
      await stream.write({ type: 'text-delta', text: 'two', tokens: [2] });
      await stream.write(end);
      await stream.end();
    },
  });
  await using first = await startLead({
    model: 'tiny',
    authority,
    answer: async (stream) => {
      await stream.write(begin);
      await stream.write({ type: 'text-delta', text: 'one ', tokens: [1] });
      throw new SkeinError('stage-lost', 'a stage was lost');
    },
  });
  await using client = await clientOf(authority, [next, first]);
  const generation = client.chat(question);
  const tokens: number[] = [];
  for await (const delta of generation) {
    tokens.push(...(delta.tokens ?? []));
    // The next one is there once the loss has been heard of.
    setImmediate(next.getReady);
  }
  expect(tokens).toEqual([1, 2]);
  expect((await generation.result()).usage).toMatchObject({ failovers: 1 });
  expect(asked).toMatchObject([{ resume: { tokens: [1], emittedCharacters: 4 } }]);
});

test('ends half an answer with what was delivered when no other replica comes', async () => {
  const authority = await Authority.ephemeral();
  const half: Answer = async (stream) => {
    await stream.write(begin);
    await stream.write({ type: 'text-delta', text: 'half', tokens: [1] });
    throw new SkeinError('stage-lost', 'a stage was lost');
  };
  await using lead = await startLead({ model: 'tiny', authority, answer: half });
  await using client = await clientOf(authority, [lead], { replacementMs: 20 });
  await expect(client.chat(question).result()).rejects.toMatchObject({
    code: 'stage-lost',
    message: expect.stringMatching(/^a stage was lost, and .* 1 token of the answer had been delivered$/),
  });
});

test('gives up connecting when no member can be reached', async () => {
  const lead = await startLead({});
  await lead[Symbol.asyncDispose]();
  await expect(connect({ ...over(lead), deadlines: { connectMs: 200 } })).rejects.toMatchObject({
    code: 'peer-lost',
    message: expect.stringContaining('still up'),
  });
});

test('refuses settings that make no sense before anything is sent', async () => {
  await using lead = await startLead({ model: 'tiny' });
  await using client = await connect(over(lead));
  await expect(client.chat({ ...question, temperature: 9 }).result()).rejects.toMatchObject({
    code: 'invalid-request',
    message: expect.stringContaining('temperature'),
  });
});
