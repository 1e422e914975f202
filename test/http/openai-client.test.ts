import OpenAI, { APIError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { defaultModelFile } from '../../scripts/cluster/models.ts';
import { systemPrompt } from '../support/prompts.ts';

/** OpenAI's own client against a model that is split over two peers. */
const model = 'smollm2-135m-instruct';
let cluster: Cluster | undefined;
let client: OpenAI;
let unreachable = '';

beforeAll(async () => {
  const file = await defaultModelFile();
  if ('unreachable' in file) {
    unreachable = file.unreachable;
    return;
  }
  cluster = await startCluster({ peers: 2, models: [file.path] });
  await cluster.coordinator.deployments.deploy({ model, stages: 2 });
  client = new OpenAI({ baseURL: `${cluster.coordinator.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const messages = [
  { role: 'system' as const, content: systemPrompt },
  { role: 'user' as const, content: 'What is the capital of France?' },
];

describe("OpenAI's client", () => {
  it('streams a chat', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      temperature: 0,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    let finishReason: string | null | undefined;
    let completionTokens: number | undefined;
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      if (choice?.delta.content) pieces.push(choice.delta.content);
      finishReason = choice?.finish_reason ?? finishReason;
      completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    }
    expect(pieces.join('')).toContain('Paris');
    expect(pieces.length).toBeGreaterThan(2);
    expect(finishReason).toBe('stop');
    expect(completionTokens).toBeGreaterThan(2);
    return undefined;
  });

  it('gets a whole chat, a completion and the list of models', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 16 });
    expect(chat.choices[0]?.message.content).toContain('Paris');
    const completion = await client.completions.create({
      model,
      prompt: 'One, two, three,',
      temperature: 0,
      max_tokens: 6,
    });
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'length',
      text: expect.stringContaining('four') as string,
    });
    expect(completion.usage?.completion_tokens).toBe(6);
    const listed = await client.models.list();
    expect(listed.data.map(({ id }) => id)).toContain(model);
    return undefined;
  });

  it('stops at a stop string', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const chat = await client.chat.completions.create({ model, messages, temperature: 0, stop: ['Paris'] });
    expect(chat.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(chat.choices[0]?.message.content).not.toContain('Paris');
    return undefined;
  });

  it('gets the same text for the same seed, and other text for another', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const write = async (seed: number): Promise<string | null | undefined> => {
      const question = { role: 'user' as const, content: 'Write a line about the sea.' };
      const chat = await client.chat.completions.create({
        model,
        messages: [question],
        temperature: 1,
        seed,
        max_tokens: 24,
      });
      return chat.choices[0]?.message.content;
    };
    const first = await write(1);
    expect(await write(1)).toBe(first);
    expect(await write(2)).not.toBe(first);
    return undefined;
  });

  it('frees the sequence of a stream that is left', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    // More than the four sequences there are: each would be taken, were the ones left not freed.
    for (let round = 0; round < 6; round += 1) {
      const stream = await client.chat.completions.create({ model, messages, stream: true, max_tokens: 900 });
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    }
    const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 4 });
    expect(chat.choices[0]?.message.content).toBeTruthy();
    return undefined;
  });

  it.for<[name: string, wrong: object, status: number]>([
    ['a model that nobody has', { model: 'no-such-model' }, 404],
    ['a temperature out of range', { temperature: 3 }, 400],
    ['a negative token count', { max_tokens: -1 }, 400],
    ['no messages', { messages: [] }, 400],
    ['tools, which are not there yet', { tools: [{ type: 'function' as const, function: { name: 'f' } }] }, 400],
  ])('gets an error of its own kind for %s', async ([, wrong, status], { skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const error = await client.chat.completions.create({ model, messages, ...wrong }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status });
    expect((error as APIError).message.length).toBeGreaterThan(20);
    return undefined;
  });

  it('is told when the prompt is longer than the context, and can go on', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const long = { role: 'user' as const, content: 'many words '.repeat(5000) };
    await expect(client.chat.completions.create({ model, messages: [long] })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
    const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 4 });
    expect(chat.choices[0]?.message.content).toBeTruthy();
    return undefined;
  });
});
