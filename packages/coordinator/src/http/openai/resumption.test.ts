import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';

import { SkeinError, type GenerationInput } from '@skein/protocol';
import type { GenerationUpdate } from '@skein/serving';
import { describe, expect, it, vi } from 'vitest';

import { ManualTimers } from '../../testing/manual-timers.ts';
import { generationEnd, post, testApp, type TestAppOptions } from '../../testing/test-app.ts';
import { HttpServer } from '../server.ts';

const chat = { model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 9, seed: 7 };
const words = ['Once ', 'upon ', 'a ', '', 'time', '.'];
const begin = { type: 'generation-begin', promptTokens: 7, promptHash: 'a'.repeat(64), maxTokens: 9 } as const;

/** Answers as a lead does: from the start, or behind what the request says was generated. */
async function* lead(_: AbortSignal, choice: number, { resume }: GenerationInput): AsyncGenerator<GenerationUpdate> {
  yield begin;
  for (const [index, word] of words.entries()) {
    if (index < (resume?.tokens.length ?? 0)) expect(resume?.tokens[index]).toBe(index);
    else yield { type: 'text-delta', text: word, tokens: [index] };
    if (choice > 0 && index > 2) break;
  }
  yield { ...generationEnd, usage: { promptTokens: 7, completionTokens: choice > 0 ? 4 : words.length } };
}

async function serve(options: TestAppOptions = {}) {
  const timers = new ManualTimers();
  const { app, received } = testApp({ events: lead, schedule: timers.schedule, ...options });
  const server = new HttpServer(app, { host: '127.0.0.1', port: 0 });
  const url = await server.start();
  return { url, received, timers, [Symbol.asyncDispose]: async () => await server.stop() };
}

interface SentEvent {
  readonly id: string;
  readonly data: string;
}

/** Asks for a stream, or for the rest of one. */
async function ask(
  url: string,
  { body = {}, last, headers: more = {} }: { body?: object; last?: string | undefined; headers?: object } = {},
) {
  const headers = { 'content-type': 'application/json', ...more, ...(last !== undefined && { 'last-event-id': last }) };
  const sent = request(`${url}/v1/chat/completions`, { method: 'POST', headers });
  sent.end(JSON.stringify({ ...chat, stream: true, stream_options: { include_usage: true }, ...body }));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Reads events: so many, and then breaks the connection, or all. */
async function read(response: IncomingMessage, most = Infinity): Promise<SentEvent[]> {
  const events: SentEvent[] = [];
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    for (let end = text.indexOf('\n\n'); end >= 0 && events.length < most; end = text.indexOf('\n\n')) {
      const [, id = '', data = ''] = /^id: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      events.push({ id, data });
      text = text.slice(end + 2);
    }
    if (events.length >= most) break;
  }
  return events;
}

/** Waits for a signal, and fails with its reason. */
async function untilAborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

/** Answers as {@link lead} does, but says no more than so many words on one connection, until it is cut or let go. */
function held(most: () => number) {
  const free = Promise.withResolvers<void>();
  async function* events(signal: AbortSignal, choice: number, input: GenerationInput) {
    let left = most();
    for await (const update of lead(signal, choice, input)) {
      if (update.type !== 'generation-begin' && left-- === 0) await Promise.race([free.promise, untilAborted(signal)]);
      yield update;
    }
  }
  return { events, go: free.resolve };
}

describe.each([1, 2])('a stream of %i choices whose connection breaks', (n) => {
  const asked = { body: { n } };
  const sorted = (events: readonly SentEvent[]) => events.map(({ data }) => data).toSorted();

  it('goes on behind any of its events, each of which comes once, though it had ended', async () => {
    await using server = await serve();
    const whole = await read(await ask(server.url, asked));
    expect(whole.at(-1)?.data).toBe('[DONE]');
    for (let cut = 1; cut < whole.length; cut += 1) {
      const before = await read(await ask(server.url, asked), cut);
      const after = await read(await ask(server.url, { ...asked, last: before.at(-1)?.id }));
      expect(sorted([...before, ...after])).toEqual(sorted(whole));
    }
  });

  it('goes on where it was at any of its words, each of which comes once, though its generations ended', async () => {
    let most = Infinity;
    await using server = await serve(held(() => most));
    const whole = await read(await ask(server.url, asked));
    for (most = 1; most <= words.length; most += 1) {
      const all: SentEvent[] = [];
      for (let last: string | undefined; all.at(-1)?.data !== '[DONE]'; last = all.at(-1)?.id) {
        all.push(...(await read(await ask(server.url, { ...asked, last }), 1)));
      }
      expect(sorted(all)).toEqual(sorted(whole));
      expect(new Set(all.map(({ id }) => id)).size).toBe(whole.length);
    }
  });
});

describe('an answer that runs while its connection breaks', () => {
  it('frees its sequence at once, and goes on behind the same tokens, with the same request', async () => {
    const { events, go } = held(() => 2);
    await using server = await serve({ events });
    const before = await read(await ask(server.url), 3);
    await vi.waitFor(() => expect(server.received[0]?.signal.aborted).toBe(true));
    go();
    const after = await read(await ask(server.url, { last: before.at(-1)?.id }));
    const texts = [...before, ...after].flatMap(({ data }) => /"content":"([^"]*)"/.exec(data)?.[1] ?? []);
    expect(texts).toEqual(['', 'Once ', 'upon ', 'a ', 'time', '.']);
    const [first, second] = server.received.map(({ inputs }) => inputs[0]);
    expect(second).toEqual({
      ...first,
      resume: { promptHash: begin.promptHash, tokens: [0, 1], emittedCharacters: 10 },
    });
    expect(after.at(-2)?.data).toContain('"usage":{"prompt_tokens":7,"completion_tokens":6');
  });

  it('counts what interrupted it on the connection before', async () => {
    const { events, go } = held(() => 2);
    await using server = await serve({ events, interruptions: { failovers: 1, pauseMs: 30 } });
    const before = await read(await ask(server.url), 3);
    await vi.waitFor(() => expect(server.received[0]?.signal.aborted).toBe(true));
    go();
    const after = await read(await ask(server.url, { last: before.at(-1)?.id }));
    expect(after.at(-2)?.data).toContain('"failovers":1,"pauseMs":30');
  });

  it('is taken over from a connection that only seems to live', async () => {
    const { events, go } = held(() => 2);
    await using server = await serve({ events });
    const old = await ask(server.url);
    old.on('error', () => undefined);
    const [chunk] = (await once(old, 'data')) as [Buffer];
    expect(String(chunk)).toContain('id: chatcmpl-id1:1:');
    const closed = new Promise((resolve) => old.once('close', resolve));
    const response = await ask(server.url, { last: 'chatcmpl-id1:1' });
    await closed;
    go();
    const ids = (await read(response)).map(({ id }) => id.split(':').slice(0, 2).join(':'));
    expect(ids.slice(0, 3)).toEqual([2, 3, 4].map((number) => `chatcmpl-id1:${number}`));
  });
});

describe('an answer that has ended', () => {
  it('is sent again behind any of its events, without another generation; 204 says that nothing is missing', async () => {
    await using server = await serve();
    const whole = await read(await ask(server.url));
    const again = await read(await ask(server.url, { last: whole[1]?.id }));
    expect(again).toEqual(whole.slice(2));
    expect((await ask(server.url, { last: whole.at(-1)?.id })).statusCode).toBe(204);
    expect(server.received).toHaveLength(1);
    // After two minutes it is forgotten, and generated anew.
    server.timers.advance(120_000);
    expect(await read(await ask(server.url, { last: whole[1]?.id }))).toEqual(whole.slice(2));
    expect(server.received).toHaveLength(2);
  });

  it('is not found behind an event that it never had, nor by an id that is none of ours', async () => {
    await using server = await serve();
    await read(await ask(server.url));
    for (const last of ['chatcmpl-id1:99', 'chatcmpl-id2:1', 'chatcmpl-id1', '17', 'a b:1', `${'x'.repeat(999)}:1`]) {
      expect((await ask(server.url, { last })).statusCode, last).toBe(404);
    }
    expect(server.received).toHaveLength(1);
  });

  it('keeps the error that it failed with', async () => {
    async function* failing(): AsyncGenerator<GenerationUpdate> {
      yield { type: 'text-delta', text: 'Once', tokens: [1] };
      throw new Error('secret');
    }
    await using server = await serve({ events: failing });
    const whole = await read(await ask(server.url));
    expect(whole.at(-1)?.data).toContain('"code":"internal"');
    expect(await read(await ask(server.url, { last: whole[0]?.id }))).toEqual(whole.slice(1));
    expect(server.received).toHaveLength(1);
  });
});

describe('an answer that another coordinator carried', () => {
  const whole = words.join('');

  interface StateChunk {
    readonly choices: readonly { readonly delta: { readonly content?: string } }[];
    readonly skein?: { readonly state?: object; readonly tokens?: readonly number[]; readonly mu?: number };
  }

  /** Reads so many chunks of an answer as a client does that can move, which asks for what it needs for that. */
  async function readState(response: IncomingMessage, most?: number) {
    const events = await read(response, most);
    const chunks = events.filter(({ data }) => data !== '[DONE]').map(({ data }) => JSON.parse(data) as StateChunk);
    const text = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? '')).join('');
    const tokens = chunks.flatMap(({ skein }) => skein?.tokens ?? []);
    return { events, text, tokens, state: chunks.find(({ skein }) => skein?.state !== undefined)?.skein?.state };
  }

  it('goes on from the tokens that its client has, wherever it broke', async () => {
    await using first = await serve();
    await using second = await serve();
    const headers = { 'x-skein-state': '1' };
    const all = await readState(await ask(first.url, { headers, body: { seed: undefined } }));
    expect([all.text, all.tokens]).toEqual([whole, [0, 1, 2, 3, 4, 5]]);
    expect(all.state).toEqual({ promptHash: begin.promptHash, maxTokens: 9, askedAt: 1_700_000_000_000, seed: 42 });
    for (let cut = 1; cut < all.events.length; cut += 1) {
      const { text, tokens, state } = await readState(await ask(first.url, { headers }), cut);
      if (tokens.length === 0) continue;
      const { promptHash, askedAt, maxTokens, seed } = state as Record<string, unknown>;
      const skein_resume = { promptHash, askedAt, tokens, emittedCharacters: text.length };
      const rest = await readState(
        await ask(second.url, { headers, body: { seed, max_tokens: maxTokens, skein_resume } }),
      );
      expect(text + rest.text).toBe(whole);
      expect([...tokens, ...rest.tokens]).toEqual(all.tokens);
      expect(second.received.at(-1)?.inputs[0].askedAt).toBe(askedAt);
    }
  });

  it('tells its client what interrupted it, with each piece', async () => {
    await using server = await serve({ interruptions: { failovers: 2, pauseMs: 30 } });
    const { events } = await readState(await ask(server.url, { headers: { 'x-skein-state': '1' } }));
    expect(events.filter(({ data }) => data.includes('"tokens":['))).toHaveLength(words.length);
    for (const { data } of events.filter(({ data }) => data.includes('"tokens":['))) {
      expect(JSON.parse(data)).toMatchObject({ skein: { failovers: 2, pauseMs: 30 } });
    }
  });

  it.each([
    ['tokens', { tokens: [] }, {}],
    ['tokens', { tokens: [1, -1] }, {}],
    ['tokens', { tokens: 'x' }, {}],
    ['promptHash', { promptHash: 'x' }, {}],
    ['emittedCharacters', { emittedCharacters: -1 }, {}],
    ['askedAt', { askedAt: 1e99 }, {}],
    ['other', { other: 1 }, {}],
    ['', {}, { n: 2 }],
    ['', {}, { stream: false, stream_options: undefined }],
    ['', {}, { seed: undefined }],
  ])('is refused with a bad %s: %o %o', async (name, change, body) => {
    const { app, received } = testApp();
    const skein_resume = { promptHash: 'a'.repeat(64), askedAt: 5, tokens: [1], emittedCharacters: 1, ...change };
    const response = await post(app, '/v1/chat/completions', { ...chat, stream: true, skein_resume, ...body });
    expect(response.status).toBe(400);
    const param = name === '' ? 'skein_resume' : `skein_resume.${name}`;
    expect(await response.json()).toMatchObject({ error: { param } });
    expect(received).toEqual([]);
  });
});

describe('a stream that another coordinator carried', () => {
  it('goes on behind any of its events, each of which comes once: the answer is generated anew, and nobody sees it', async () => {
    await using first = await serve();
    const body = { seed: undefined };
    const whole = await read(await ask(first.url, { body }));
    for (let cut = 1; cut <= whole.length; cut += 1) {
      // Each of them knows nothing of the others.
      await using second = await serve({ now: () => 1_700_000_123_456 });
      const after = await read(await ask(second.url, { body, last: whole[cut - 1]?.id }));
      expect([...whole.slice(0, cut), ...after]).toEqual(whole);
      expect(second.received.map(({ inputs }) => inputs)).toEqual(first.received.map(({ inputs }) => inputs));
    }
  });

  it('goes on there once more, before and behind the place where it broke first', async () => {
    let most = Infinity;
    await using first = await serve();
    await using second = await serve(held(() => most));
    const whole = await read(await ask(first.url));
    const last = whole[4]?.id;
    most = 2;
    const silent = await ask(second.url, { last });
    silent.destroy();
    await vi.waitFor(() => expect(second.received[0]?.signal.aborted).toBe(true));
    most = 4;
    const [next] = await read(await ask(second.url, { last }), 1);
    expect(next).toEqual(whole[5]);
    most = Infinity;
    expect(await read(await ask(second.url, { last: next?.id }))).toEqual(whole.slice(6));
  });

  it.each([
    ['other words', ['Twice ', 'upon ', 'a ', 'time']],
    ['an earlier end', ['Once ']],
  ])('ends with an error, and without a word of it, where the answer comes out with %s', async (_, said) => {
    await using first = await serve();
    async function* otherwise(): AsyncGenerator<GenerationUpdate> {
      yield begin;
      for (const [index, text] of said.entries()) yield { type: 'text-delta', text, tokens: [said.length + index] };
      yield generationEnd;
    }
    await using second = await serve({ events: otherwise });
    const whole = await read(await ask(first.url));
    const after = await read(await ask(second.url, { last: whole[5]?.id }));
    expect(after).toHaveLength(1);
    expect(after[0]?.data).toContain('comes out otherwise here');
    // Clients that ask again learn the same, and never that nothing is missing.
    const again = await ask(second.url, { last: whole[5]?.id });
    expect(again.statusCode).toBe(404);
    expect(await again.toArray().then(String)).toContain('comes out otherwise here');
  });

  it('does not go on where it began, at the coordinator that told it otherwise before another one did', async () => {
    await using first = await serve();
    async function* otherwise(
      _: AbortSignal,
      __: number,
      { resume }: GenerationInput,
    ): AsyncGenerator<GenerationUpdate> {
      if (resume === undefined) yield begin;
      for (const [index, text] of ['Once ', 'upon ', 'the ', 'time '].entries()) {
        yield { type: 'text-delta', text, tokens: [index < 2 ? index : 50 + index] };
      }
      yield generationEnd;
    }
    await using second = await serve({ events: otherwise });
    const begun = (await read(await ask(first.url))).slice(0, 3);
    const rest = await read(await ask(second.url, { last: begun.at(-1)?.id }));
    expect(rest.at(-1)?.data).toBe('[DONE]');
    const back = await ask(first.url, { last: rest[1]?.id });
    expect(back.statusCode).toBe(404);
    expect(await back.toArray().then(String)).toContain('comes out otherwise here');
  });

  it('ends with the error that generating it anew fails with', async () => {
    await using first = await serve();
    await using second = await serve({ refusal: new SkeinError('no-peers', 'nobody is there') });
    const whole = await read(await ask(first.url));
    const after = await read(await ask(second.url, { last: whole[5]?.id }));
    expect(after.map(({ data }) => data)).toEqual([expect.stringContaining('nobody is there')]);
  });

  it('is not found where it has several choices, at the other endpoint, or with a mark that is none', async () => {
    await using first = await serve();
    await using second = await serve();
    const several = await read(await ask(first.url, { body: { n: 2 } }));
    const mark = '1-1-1-1';
    const places = [several[0]?.id, `cmpl-id1:1:${mark}`, 'chatcmpl-id1:1:1-1', 'chatcmpl-id1:1:zzzzzzz-1-1-1', `chatcmpl-id1:1:1-zzzzzzzzzzz-1-1`]; // prettier-ignore
    for (const last of places) expect((await ask(second.url, { last })).statusCode, last).toBe(404);
    const whole = { stream: false, stream_options: undefined };
    expect((await ask(second.url, { last: `chatcmpl-id1:1:${mark}`, body: whole })).statusCode).toBe(404);
    expect(second.received).toEqual([]);
  });
});
