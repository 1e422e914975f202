import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { z } from 'zod';

export interface LoadQuestion {
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
}

/** A question whose answer is known. */
export interface LoadRequest extends LoadQuestion {
  readonly expected: string;
}

type Attempt = { readonly text: string } | { readonly failure: string } | { readonly retryAfterMs: number };

/** The end of a request, however often it was refused before. */
export interface LoadOutcome {
  /** Undefined for one that was answered with the right text. */
  readonly failure: string | undefined;
  /** Refusals before that told when to come again. */
  readonly refusals: number;
  /** Time from the attempt that was not refused to the end of its answer, in milliseconds. */
  readonly durationMs: number;
}

/** Longest wait for one answer, in milliseconds. */
const longestMs = 120_000;

const choicesSchema = z.object({ choices: z.array(z.object({ text: z.string().optional() })).optional() });
const errorSchema = z.object({ error: z.object({ code: z.string() }) });

/** A client with one connection, which it keeps. It comes again when it is told to. */
export class LoadClient implements Disposable {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(url: string) {
    this.#url = url;
  }

  /** Asks until the request is not refused. Throws when the signal aborts. */
  async ask(request: LoadRequest & { readonly stream: boolean }, signal: AbortSignal): Promise<LoadOutcome> {
    for (let refusals = 0; ; refusals += 1) {
      const startedMs = performance.now();
      const attempt = await this.#attempt(request, signal);
      const durationMs = performance.now() - startedMs;
      if ('retryAfterMs' in attempt) {
        await delay(attempt.retryAfterMs, undefined, { signal });
        continue;
      }
      const isRight = 'text' in attempt && attempt.text === request.expected;
      const failure = 'failure' in attempt ? attempt.failure : 'a wrong text';
      return { failure: isRight ? undefined : failure, refusals, durationMs };
    }
  }

  /**
   * Asks a question whose answer is not known.
   *
   * @throws Error when it fails
   */
  async answerTo(question: LoadQuestion, signal: AbortSignal): Promise<string> {
    const attempt = await this.#attempt({ ...question, stream: false }, signal);
    if ('text' in attempt) return attempt.text;
    throw new Error('failure' in attempt ? attempt.failure : 'a machine without work refused a question');
  }

  async #attempt(question: LoadQuestion & { readonly stream: boolean }, signal: AbortSignal): Promise<Attempt> {
    try {
      return await this.#post(question, AbortSignal.any([signal, AbortSignal.timeout(longestMs)]));
    } catch (error) {
      signal.throwIfAborted();
      return { failure: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
    }
  }

  async #post(
    { model, prompt, maxTokens, stream }: LoadQuestion & { readonly stream: boolean },
    signal: AbortSignal,
  ): Promise<Attempt> {
    const asked = { model, prompt, max_tokens: maxTokens, temperature: 0, speculation: false, stream };
    const body = JSON.stringify(asked);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = httpRequest(`${this.#url}/v1/completions`, { method: 'POST', headers, signal, agent: this.#agent });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const piece of response.setEncoding('utf8') as AsyncIterable<string>) text += piece;
    const { statusCode = 0, headers: answered } = response;
    if (statusCode === 429 && answered['retry-after'] !== undefined) {
      return { retryAfterMs: Number(answered['retry-after']) * 1000 };
    }
    const chunks = (stream && statusCode === 200 ? eventsOf(text) : [text]).map((chunk): unknown => JSON.parse(chunk));
    const error = chunks
      .map((chunk) => errorSchema.safeParse(chunk).data?.error.code)
      .find((code) => code !== undefined);
    if (statusCode !== 200 || error !== undefined) return { failure: `${statusCode} ${error ?? ''}` };
    if (stream && !text.endsWith('data: [DONE]\n\n')) return { failure: 'the stream ended without its end mark' };
    const choices = chunks.flatMap((chunk) => choicesSchema.parse(chunk).choices ?? []);
    return { text: choices.map((choice) => choice.text ?? '').join('') };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function eventsOf(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => line.slice('data: '.length));
}
