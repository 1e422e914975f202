import { setTimeout as delay } from 'node:timers/promises';

import { asSkeinError, SkeinError } from '@skein/protocol';

import type { GenerationEnd, GenerationStream, TextDelta } from '../generation/generation.ts';
import type { GenerationSettings, TransportRequest } from '../generation/request.ts';
import type { ServedModel, Transport } from '../transport.ts';
import { addInterruptions, AnswerState } from './answer-state.ts';
import { parseAnswer, type Endpoint } from './endpoint.ts';
import { chunkSchema, modelListSchema, requestBody } from './openai.ts';
import { readEvents } from './read-events.ts';
import { isCoordinatorGone, withDelivered } from './response-error.ts';

/**
 * Longest time for an answer to be taken up by a coordinator after the one that carried it went away, in milliseconds:
 * as long as one takes that starts again. Beside it: the pause before all are asked once more.
 */
const moveMs = 30_000;
const movePauseMs = 500;

/**
 * A transport to a coordinator, in OpenAI's API, with others to take its place. An answer whose coordinator goes away
 * goes on at another one, or at the same when it is back.
 */
export class HttpTransport implements Transport {
  readonly #endpoints: readonly [Endpoint, ...Endpoint[]];
  /** The one that answered last. */
  #current: Endpoint;

  constructor(endpoints: readonly [Endpoint, ...Endpoint[]]) {
    this.#endpoints = endpoints;
    this.#current = endpoints[0];
  }

  async connect({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#atFirst(async (endpoint) => {
      const response = await endpoint.fetch('/health', { signal });
      await response.body?.cancel();
    });
  }

  async models({ signal }: { readonly signal: AbortSignal }): Promise<readonly ServedModel[]> {
    const asked = { schema: modelListSchema, signal };
    const list = await this.#atFirst(async (endpoint) => await endpoint.json('/v1/models', asked));
    // A server that is not Skein lists what it serves.
    return list.data.map(({ id, skein }) => ({ name: id, isDeployed: skein?.deployed ?? true }));
  }

  async *generate(
    { prompt, settings }: TransportRequest,
    { signal }: { readonly signal: AbortSignal },
  ): GenerationStream {
    const model = settings.model ?? (await this.#defaultModel(signal));
    const path = prompt.type === 'chat' ? '/v1/chat/completions' : '/v1/completions';
    const body = requestBody({ prompt, settings: { ...settings, model } });
    const request = { method: 'POST', signal, headers: { 'x-skein-state': '1', ...routingHeaders(settings) } } as const;
    const state = new AnswerState();
    let left = this.#fromCurrent();
    let lost: { readonly atMs: number; readonly error: unknown } | undefined;
    for (;;) {
      const endpoint = left.shift() ?? this.#current;
      const before = state.tokens;
      try {
        const response = await endpoint.fetch(path, { ...request, body: { ...body, ...state.rest } });
        this.#current = endpoint;
        return yield* readGeneration(response, state);
      } catch (error) {
        signal.throwIfAborted();
        const isGone = isCoordinatorGone(error) || (lost !== undefined && isNotReady(error));
        if (!isGone || state.rest === undefined) throw withDelivered(error, state.tokens);
        if (state.tokens > before) {
          lost = { atMs: performance.now(), error };
          left = this.#fromCurrent(endpoint);
        }
        if (left.length > 0) continue;
        // Before anything has come, none that is waited for was there.
        if (lost === undefined) throw error;
        if (performance.now() - lost.atMs > moveMs) throw withDelivered(lost.error, state.tokens);
        await delay(movePauseMs, undefined, { signal });
        left = this.#fromCurrent(endpoint);
      }
    }
  }

  async close(): Promise<void> {
    // Nothing outlives its request.
  }

  /** Returns all endpoints, the current one first; or all others before the one that went away. */
  #fromCurrent(gone?: Endpoint): Endpoint[] {
    const others = this.#endpoints.filter((endpoint) => endpoint !== (gone ?? this.#current));
    return gone === undefined ? [this.#current, ...others] : [...others, gone];
  }

  /** Asks the current endpoint, and the others in their order while nothing answers. */
  async #atFirst<Answer>(ask: (endpoint: Endpoint) => Promise<Answer>): Promise<Answer> {
    let failure: unknown;
    for (const endpoint of this.#fromCurrent()) {
      try {
        const answer = await ask(endpoint);
        this.#current = endpoint;
        return answer;
      } catch (error) {
        if (!isCoordinatorGone(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #defaultModel(signal: AbortSignal): Promise<string> {
    const models = await this.models({ signal });
    const model = models.find(({ isDeployed }) => isDeployed) ?? models[0];
    if (model !== undefined) return model.name;
    throw new SkeinError(
      'not-deployed',
      'there is no model yet; get one with `skein pull <model>`, then `skein deploy <model>`',
    );
  }
}

/** Makes the headers that say where a request may go. */
function routingHeaders({ labels, session }: GenerationSettings): Readonly<Record<string, string>> {
  const pairs = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return {
    ...(pairs.length > 0 && { 'x-skein-labels': pairs.join() }),
    ...(session !== undefined && { 'x-session-id': session }),
  };
}

/** Tells whether a coordinator that has just started does not see the machines yet. */
function isNotReady(error: unknown): boolean {
  return ['no-peers', 'not-deployed'].includes(asSkeinError(error).code);
}

async function* readGeneration(
  response: Response,
  state: AnswerState,
): AsyncGenerator<TextDelta, GenerationEnd, undefined> {
  let end: Partial<GenerationEnd> = {};
  const earlier = state.interruptions;
  for await (const data of readEvents(response, { hasEndMark: true })) {
    const { delta, start, mu, interruptions, ...ending } = parseAnswer(chunkSchema, data);
    end = { ...end, ...ending };
    if (start !== undefined) state.begin(start);
    if (interruptions !== undefined) state.interruptions = addInterruptions(earlier, interruptions);
    if (delta === undefined) continue;
    state.add(delta.text, delta.tokens, mu);
    if (delta.text !== '' || delta.tokens !== undefined) yield delta;
  }
  const { finishReason, usage } = end;
  if (finishReason === undefined) {
    throw new SkeinError('peer-lost', 'the coordinator ended the answer without a finish reason; ask again');
  }
  const whole = usage ?? { promptTokens: 0, completionTokens: 0 };
  if (earlier.failovers === 0) return { ...end, finishReason, usage: whole };
  const { failovers = 0, pauseMs = 0 } = whole;
  return { ...end, finishReason, usage: { ...whole, ...addInterruptions(earlier, { failovers, pauseMs }) } };
}
