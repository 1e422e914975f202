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
  // One answer at a time gets the same text each time; drafts that fall beside another answer may change it.
  await cluster.coordinator.deployments.deploy({ model, stages: 2, sequences: 1 });
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

  it('gets several choices, the first of which is what it would have got alone', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const wanted = {
      model,
      messages: [{ role: 'user' as const, content: 'Write a line about the sea.' }],
      temperature: 1,
      seed: 3,
      max_tokens: 12,
    };
    const alone = await client.chat.completions.create(wanted);
    const both = await client.chat.completions.create({ ...wanted, n: 2 });
    const texts = both.choices.map(({ message }) => message.content);
    expect(texts[0]).toBe(alone.choices[0]?.message.content);
    expect(texts[1]).not.toBe(texts[0]);
    expect(both.usage?.prompt_tokens).toBe(alone.usage?.prompt_tokens);
    const streamed = ['', ''];
    const ended = new Set<number>();
    for await (const chunk of await client.chat.completions.create({ ...wanted, n: 2, stream: true })) {
      for (const { index, delta, finish_reason: reason } of chunk.choices) {
        streamed[index] += delta.content ?? '';
        if (reason !== null) ended.add(index);
      }
    }
    expect(streamed).toEqual(texts);
    expect(ended).toEqual(new Set([0, 1]));
    return undefined;
  });

  it('gets log-probabilities in a chat, streamed and not', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const wanted = { model, messages, temperature: 0, max_tokens: 6, logprobs: true, top_logprobs: 3 };
    const chat = await client.chat.completions.create(wanted);
    const content = chat.choices[0]?.logprobs?.content ?? [];
    expect(content.map(({ token }) => token).join('')).toContain(chat.choices[0]?.message.content ?? '?');
    for (const { token, logprob, top_logprobs: top } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      // Without chance the drawn token is the likeliest.
      expect(top[0]?.token).toBe(token);
    }
    const streamed: string[] = [];
    for await (const chunk of await client.chat.completions.create({ ...wanted, stream: true })) {
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []).map(({ token }) => token));
    }
    expect(streamed).toEqual(content.map(({ token }) => token));
    return undefined;
  });

  it('gets log-probabilities of a completion as lists', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const wanted = { model, prompt: 'One, two, three,', temperature: 0, max_tokens: 4, logprobs: 2 };
    const [choice] = (await client.completions.create(wanted)).choices;
    const { tokens = [], token_logprobs: logprobs, top_logprobs: top, text_offset: offsets } = choice?.logprobs ?? {};
    expect(tokens).toHaveLength(4);
    expect(logprobs).toHaveLength(4);
    expect(top?.map((one) => Object.keys(one).length)).toEqual([2, 2, 2, 2]);
    expect(offsets?.[0]).toBe(0);
    expect(tokens.join('')).toBe(choice?.text);
    return undefined;
  });

  it('does not get tokens that are banned, and does get one that is forced', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const wanted = { model, prompt: 'One, two, three,', temperature: 0, max_tokens: 4, logprobs: 0 };
    const tokensWith = async (bias: Record<string, number>) => {
      const [choice] = (await client.completions.create({ ...wanted, logit_bias: bias })).choices;
      return choice?.logprobs?.tokens ?? [];
    };
    const forced = await tokensWith({ 5000: 100 });
    expect(forced).toHaveLength(4);
    expect(new Set(forced).size).toBe(1);
    const banned = await tokensWith({ 5000: -100 });
    expect(banned).not.toContain(forced[0]);
    return undefined;
  });

  it('gets JSON that follows a schema', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const schema = {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 20 }, country: { enum: ['France', 'Spain'] } },
      required: ['city', 'country'],
      additionalProperties: false,
    };
    const follows = await client.chat.completions.create({
      model,
      messages,
      temperature: 0,
      max_tokens: 128,
      response_format: { type: 'json_schema', json_schema: { name: 'capital', schema, strict: true } },
    });
    const answer = JSON.parse(follows.choices[0]?.message.content ?? '') as Record<string, unknown>;
    expect(Object.keys(answer).sort()).toEqual(['city', 'country']);
    expect(['France', 'Spain']).toContain(answer['country']);
    return undefined;
  });

  it('gets a JSON object', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const any = await client.chat.completions.create({
      model,
      messages,
      temperature: 0,
      max_tokens: 64,
      response_format: { type: 'json_object' },
    });
    expect(any.choices[0]?.message.content).toMatch(/^\{/);
    return undefined;
  });

  it('has penalties and the samplers of llama.cpp taken', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const wanted = { model, messages, temperature: 0, max_tokens: 48 };
    const repeated = { ...wanted, messages: [{ role: 'user' as const, content: 'Say "la la la" for ever.' }] };
    const plain = await client.chat.completions.create(repeated);
    const penalized = await client.chat.completions.create({ ...repeated, presence_penalty: 2, frequency_penalty: 2 });
    expect(penalized.choices[0]?.message.content).not.toBe(plain.choices[0]?.message.content);
    const more = [
      { repeat_penalty: 1.3, repeat_last_n: 32 },
      { dry_multiplier: 0.8, temperature: 1 },
      { xtc_probability: 0.5, temperature: 1 },
      { typical_p: 0.9, temperature: 1 },
      { mirostat: 2, temperature: 1 },
      { grammar: 'root ::= "yes" | "no"' },
      { speculation: false },
    ];
    const answers = await Promise.all(
      more.map(async (extension) => await client.chat.completions.create({ ...wanted, max_tokens: 8, ...extension })),
    );
    expect(answers.map(({ choices }) => choices[0]?.message.content)).not.toContain('');
    expect(['yes', 'no']).toContain(answers[5]?.choices[0]?.message.content);
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
    ['a token count of no meaning', { max_tokens: -2 }, 400],
    ['no messages', { messages: [] }, 400],
    ['a grammar beside a JSON schema', { grammar: 'root ::= "a"', response_format: { type: 'json_object' } }, 400],
    [
      'a JSON schema with a reference that leads nowhere',
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'a', schema: { properties: { a: { $ref: '#/$defs/nope' } } } },
        },
      },
      400,
    ],
    ['more choices than are offered', { n: 9 }, 400],
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
