import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { post, testApp } from '../../testing/test-app.ts';
import { Turns } from '../turns.ts';
import { validate, validateEach } from '../validate.ts';
import { parseChatRequest } from './chat.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }] };
const mebibyte = 1024 * 1024;
const options = { randomSeed: () => 1, turns: new Turns() };

async function errorOf(path: string, body: unknown): Promise<{ status: number; message: string; param: unknown }> {
  const { app, received } = testApp({ deploy: async () => await Promise.reject(new Error('it was taken')) });
  const response = await post(app, path, body);
  const { error } = (await response.json()) as { error: { message: string; param: unknown } };
  expect(received).toEqual([]);
  return { status: response.status, message: error.message, param: error.param };
}

/** An array of so many elements, as JSON: its values would take far longer to make than to write. */
function arrayOf(element: string, count: number): string {
  return `[${`${element},`.repeat(count - 1)}${element}]`;
}

function chatWith(field: string, value: string): string {
  return `{"model":"org/tiny","messages":[{"role":"user","content":"Hi"}],"${field}":${value}}`;
}

function chatOf(messages: string): string {
  return `{"model":"org/tiny","messages":${messages}}`;
}

const emptyParts = `{"role":"user","content":${arrayOf('{}', 1024)}}`;
const biases = Array.from({ length: 1_000_000 }, (_, token) => `"${token}":1`).join(',');

describe.each(['/v1/chat/completions', '/v1/completions', '/skein/v1/deployments'])('at %s', (path) => {
  it.each([
    ['4,000 messages of 1,024 empty parts', chatOf(arrayOf(emptyParts, 4000)), /objects and arrays/],
    ['8 MiB of parts that are 0', chatOf(`[{"role":"user","content":${arrayOf('0', 4 * mebibyte)}}]`), /values/],
    ['five million empty arrays as tools', chatWith('tools', arrayOf('[]', 5_300_000)), /objects and arrays/],
    [
      'five million empty arrays as a prompt',
      `{"model":"x","prompt":${arrayOf('[]', 5_300_000)}}`,
      /objects and arrays/,
    ],
    ['a million biases', chatWith('logit_bias', `{${biases}}`), /entries/],
    ['a hundred thousand arrays in one another', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /deep/],
    ['deep tools', chatWith('tools', `${'['.repeat(100_000)}${']'.repeat(100_000)}`), /deep/],
    ['a deep schema', chatWith('response_format', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`), /deep/],
    [
      'a million unknown parameters',
      `{${Array.from({ length: 200_000 }, (_, at) => `"p${at}":1`).join(',')}}`,
      /entries/,
    ],
  ])('%s are refused before they are built', async (_, body, message) => {
    expect(await errorOf(path, body)).toMatchObject({
      status: 400,
      message: expect.stringMatching(message) as string,
      param: null,
    });
  });
});

it.each([
  ['messages', '/v1/chat/completions', chatOf(arrayOf('0', 100_000)), 'at most 4096 items'],
  [
    'messages[0].content',
    '/v1/chat/completions',
    chatOf(`[${emptyParts.replace(']', ',{}]')}]`),
    'at most 1024 text parts',
  ],
  [
    'logit_bias',
    '/v1/chat/completions',
    chatWith('logit_bias', `{${biases.slice(0, 20_000)}1}`.replace(/,[^,]*}$/, '}')),
    'at most 1024 tokens',
  ],
  ['stop', '/v1/chat/completions', chatWith('stop', arrayOf('""', 500_000)), 'up to 16 strings'],
  [
    'dry_sequence_breakers',
    '/v1/chat/completions',
    chatWith('dry_sequence_breakers', arrayOf('0', 500_000)),
    'at most 16 items',
  ],
  ['tools', '/v1/chat/completions', chatWith('tools', arrayOf('[]', 30_000)), 'not supported yet'],
  ['modalities', '/v1/chat/completions', chatWith('modalities', arrayOf('"text"', 500_000)), 'not supported yet'],
  ['prompt', '/v1/completions', `{"model":"x","prompt":${arrayOf('-1', 1_000_000)}}`, 'expected one prompt'],
  ['layers', '/skein/v1/deployments', `{"model":"x","layers":${arrayOf('0', 500_000)}}`, 'at most 64 items'],
])('counts %s before it looks at them', async (param, path, body, message) => {
  expect(await errorOf(path, body)).toMatchObject({
    status: 400,
    param,
    message: expect.stringContaining(message) as string,
  });
});

it('ends a validation at its first issue, at every depth', () => {
  let looks = 0;
  const bad = () => z.custom<never>(() => ((looks += 1), false));
  const schema = z.object({ rows: z.array(z.object({ cells: z.array(bad()), more: bad() })), rest: bad() });
  const row = { cells: [1, 2, 3], more: 1 };
  expect(() => validate(schema, { rows: [row, row, row], rest: 1 })).toThrow("Invalid value for 'rows[0].cells[0]'");
  expect(looks).toBe(1);
});

it('checks a list whose elements take long in several turns of the event loop', async () => {
  let [turns, elements] = [0, 0];
  const slow = z.number().refine(() => {
    for (const startedMs = performance.now(); performance.now() - startedMs < 6;);
    elements += 1;
    return true;
  });
  const count = (): void => {
    turns += 1;
    if (elements < 5) setImmediate(count);
  };
  setImmediate(count);
  const list = [1, 2, 3, 4, 5];
  expect(await validateEach(slow, list, { name: 'list', turns: options.turns })).toEqual(list);
  expect(turns).toBeGreaterThanOrEqual(4);
  const wrong = validateEach(slow, [1, 'x'], { name: 'list', turns: options.turns });
  await expect(wrong).rejects.toThrow("'list[1]'");
});

it('looks at one of 4,096 bad messages', async () => {
  let looks = 0;
  const message = {
    get role() {
      looks += 1;
      return 'nobody';
    },
  };
  const messages = Array.from({ length: 4096 }, () => message);
  await expect(parseChatRequest({ ...chat, messages }, options)).rejects.toThrow("'messages[0].role'");
  expect(looks).toBeLessThan(10);
});

it.each([
  [
    '/v1/chat/completions',
    { messages: Array.from({ length: 3 }, () => ({ role: 'user', content: 'x'.repeat(3 * mebibyte) })) },
    'messages',
  ],
  ['/v1/completions', { prompt: 'x'.repeat(9 * mebibyte) }, 'prompt'],
])('refuses a prompt at %s that is longer than peers take, in terms of the prompt', async (path, change, param) => {
  expect(await errorOf(path, { model: 'org/tiny', ...change })).toEqual({
    status: 413,
    param,
    message: 'the prompt has more than 8.0 MiB of text; send a shorter one',
  });
});

it.each([
  [null, 'null is not supported; send "" for a message without text'],
  [[], 'expected at least 1 text part; send "" for a message without text'],
  [5, 'expected a string or an array of text parts'],
  [['Hi'], 'expected text parts: {"type": "text", "text": "..."}'],
  [[{ type: 'text', text: 5 }], 'expected text parts: {"type": "text", "text": "..."}'],
  [[{ type: 'image_url', image_url: {} }], 'expected text parts; images, audio and files are not supported yet'],
])('says what is wrong with the content %j', async (content, reason) => {
  expect(await errorOf('/v1/chat/completions', { ...chat, messages: [{ role: 'user', content }] })).toMatchObject({
    message: `Invalid value for 'messages[0].content': ${reason}`,
  });
});

it('refuses more token ids than the context of any replica holds, without sending them', async () => {
  const prompt = Array.from({ length: 4096 }, () => 1);
  expect(await errorOf('/v1/completions', { model: 'org/tiny', prompt })).toMatchObject({
    status: 400,
    param: 'prompt',
    message: expect.stringContaining('4096 tokens where the context holds 4096') as string,
  });
});

it('refuses a schema of many megabytes without writing it out', async () => {
  const schema = { enum: Array.from({ length: 60_000 }, () => 'x'.repeat(50)) };
  let written = 0;
  Object.defineProperty(schema.enum, 'toJSON', { value: () => (written += 1) });
  const format = { type: 'json_schema', json_schema: { name: 'big', schema } };
  await expect(parseChatRequest({ ...chat, response_format: format }, options)).rejects.toThrow(
    /at most 262144 characters/,
  );
  expect(written).toBe(0);
});
