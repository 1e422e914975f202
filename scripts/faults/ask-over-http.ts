import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';

import { z } from 'zod';

import { fromChat } from '../../packages/client/src/generation/request.ts';
import { requestBody } from '../../packages/client/src/http/openai.ts';
import { AnswerRecord } from './answer-record.ts';
import type { Answer } from './client-messages.ts';
import type { RunRequest } from './requests.ts';

/**
 * Longest waits, in milliseconds: Skein's own deadlines (300 s for the first token, 60 s from one to the next) and a
 * minute.
 */
const hangDeadlines = { firstByteMs: 360_000, gapMs: 120_000 };

const chunkSchema = z.object({
  choices: z
    .array(
      z.object({
        index: z.number(),
        delta: z.object({ content: z.string().nullish() }),
        finish_reason: z.string().nullish(),
      }),
    )
    .optional(),
  skein: z.object({ tokens: z.array(z.number()).optional() }).optional(),
  usage: z
    .object({ completion_tokens: z.number(), failovers: z.number().optional(), pauseMs: z.number().optional() })
    .nullish(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
const hung = new Error('hung');

/** Asks for a chat over HTTP, as a program without our SDK does, and follows the answer. Never throws. */
export async function askOverHttp(url: string, request: RunRequest): Promise<Answer> {
  const record = new AnswerRecord(request.choices);
  const over = new AbortController();
  let timer = setTimeout(() => over.abort(hung), hangDeadlines.firstByteMs);
  const onByte = () => {
    clearTimeout(timer);
    timer = setTimeout(() => over.abort(hung), hangDeadlines.gapMs);
  };
  try {
    const error = await read(await post(url, request, over.signal), record, onByte);
    return error === undefined ? record.ended('complete') : record.ended('error', error);
  } catch (error) {
    if (over.signal.aborted) return record.ended('hung');
    if (isConnectionError(error)) return record.ended('disconnected');
    return record.ended('error', { code: 'not-understood', message: String(error) });
  } finally {
    clearTimeout(timer);
  }
}

async function post(url: string, { question, settings, ...request }: RunRequest, signal: AbortSignal) {
  const messages = [{ role: 'user' as const, content: question }];
  const asked = requestBody(fromChat({ messages, ...settings, model: request.model }));
  const body = JSON.stringify({ ...asked, n: request.choices });
  const length = Buffer.byteLength(body);
  // The ids of tokens come with the state.
  const headers = { 'content-type': 'application/json', 'content-length': length, 'x-skein-state': '1' };
  // A connection for each: what an earlier one has left behind must not decide how this one ends.
  const sent = httpRequest(`${url}/v1/chat/completions`, { method: 'POST', headers, signal, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Reads an answer to its end. Returns its error; undefined when it has none. */
async function read(
  response: IncomingMessage,
  record: AnswerRecord,
  onByte: () => void,
): Promise<Answer['error'] | undefined> {
  let rest = '';
  let isDone = false;
  for await (const piece of response.setEncoding('utf8') as AsyncIterable<string>) {
    onByte();
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'data: [DONE]') isDone = true;
      if (!line.startsWith('data: {')) continue;
      const { choices = [], usage, skein, error } = chunkSchema.parse(JSON.parse(line.slice('data: '.length)));
      if (error !== undefined) return withOwnCode(error);
      for (const { index, delta, finish_reason: reason } of choices) {
        if (typeof delta.content === 'string' && skein?.tokens !== undefined)
          record.add(index, delta.content, skein.tokens);
        if (typeof reason === 'string') record.finish(index, reason);
      }
      if (usage) record.usage = { ...usage, completionTokens: usage.completion_tokens };
    }
  }
  if (response.statusCode !== 200) {
    const { error } = z.object({ error: chunkSchema.shape.error.unwrap() }).parse(JSON.parse(rest));
    return withOwnCode(error);
  }
  return isDone ? undefined : { code: 'not-understood', message: 'the stream ended without its end mark' };
}

/** Translates a code of the API into Skein's. */
function withOwnCode({ code, message }: { readonly code: string; readonly message: string }) {
  return { code: code.replaceAll('_', '-'), message };
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^E[A-Z]+$|^UND_ERR/.test(String(error.code));
}
