import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';

import { z } from 'zod';

import { CheckedText, type TextFault } from './checked-text.ts';

/** A request whose answer is known. */
export interface KnownRequest {
  readonly model: string;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly expected: string;
}

/** The end of a request, as its client saw it. */
export type Outcome = { readonly characters: number; readonly fault: TextFault | undefined } & (
  | { readonly kind: 'answered' }
  /** Lost, with the API's code, or the reason why the connection failed. */
  | { readonly kind: 'lost'; readonly error: string }
  /** Silent for so long that none of Skein's deadlines explains it. */
  | { readonly kind: 'hung' }
  /** Given up by the caller. */
  | { readonly kind: 'left' }
);

/**
 * Longest waits, in milliseconds: Skein's own deadlines (300 s for the first token, 60 s from one to the next) and a
 * minute.
 */
export const hangDeadlines = { firstByteMs: 360_000, gapMs: 120_000 };

const chunkSchema = z.object({
  choices: z.array(z.object({ text: z.string().optional(), finish_reason: z.string().nullish() })).optional(),
  error: z.object({ code: z.string() }).optional(),
});
const hung = new Error('hung');

/** Sends a request for a completion over HTTP and checks the text as it comes. Never throws. */
export async function ask(url: string, wanted: KnownRequest, signal: AbortSignal): Promise<Outcome> {
  const text = new CheckedText(wanted.expected);
  const over = new AbortController();
  const lifetime = AbortSignal.any([signal, over.signal]);
  let timer = setTimeout(() => over.abort(hung), hangDeadlines.firstByteMs);
  const onByte = () => {
    clearTimeout(timer);
    timer = setTimeout(() => over.abort(hung), hangDeadlines.gapMs);
  };
  const ending = (): Pick<Outcome, 'characters' | 'fault'> => ({ characters: text.length, fault: text.fault });
  try {
    const response = await post(url, wanted, lifetime);
    const error = await read(response, text, onByte);
    if (error !== undefined) return { kind: 'lost', error, ...ending() };
    // A part that claims to be the whole is as wrong as a wrong text.
    const fault = text.fault ?? (text.isWhole ? undefined : ({ kind: 'missing', at: text.length } as const));
    return { kind: 'answered', characters: text.length, fault };
  } catch (error) {
    if (over.signal.aborted) return { kind: 'hung', ...ending() };
    if (signal.aborted) return { kind: 'left', ...ending() };
    return { kind: 'lost', error: codeOf(error), ...ending() };
  } finally {
    clearTimeout(timer);
  }
}

async function post(url: string, wanted: KnownRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { model, prompt, maxTokens, temperature } = wanted;
  const body = JSON.stringify({ model, prompt, max_tokens: maxTokens, temperature, seed: 1, stream: true });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  // A connection for each: what an earlier one has left behind must not decide how this one ends.
  const sent = httpRequest(`${url}/v1/completions`, { method: 'POST', headers, signal, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Reads an answer to its end. Returns the code of its error; undefined when it has none. */
async function read(response: IncomingMessage, text: CheckedText, onByte: () => void): Promise<string | undefined> {
  let rest = '';
  let isDone = false;
  let finish: string | undefined;
  for await (const piece of response.setEncoding('utf8') as AsyncIterable<string>) {
    onByte();
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'data: [DONE]') isDone = true;
      if (!line.startsWith('data: {')) continue;
      const { choices = [], error } = chunkSchema.parse(JSON.parse(line.slice('data: '.length)));
      if (error !== undefined) return error.code;
      for (const choice of choices) {
        text.add(choice.text ?? '');
        finish = choice.finish_reason ?? finish;
      }
    }
  }
  if (response.statusCode !== 200) {
    const refusal = z.object({ error: z.object({ code: z.string() }) }).safeParse(parseJson(rest));
    return `${response.statusCode} ${refusal.data?.error.code ?? 'without a code'}`;
  }
  if (!isDone) return 'the stream ended without its end mark';
  return finish === 'length' ? undefined : `finished by ${finish ?? 'nothing'}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? String(error.code) : error.message;
}
