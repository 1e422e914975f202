import { SkeinError } from '@skein/protocol';

import type { GenerationEnd, GenerationStream, TextDelta } from '../generation/generation.ts';
import type { TransportRequest } from '../generation/request.ts';
import type { ServedModel, Transport } from '../transport.ts';
import { parseAnswer, type Endpoint } from './endpoint.ts';
import { chunkSchema, modelListSchema, requestBody } from './openai.ts';
import { readEvents } from './read-events.ts';

/** A transport to a coordinator, in OpenAI's API. */
export class HttpTransport implements Transport {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  async connect({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const response = await this.#endpoint.fetch('/health', { signal });
    await response.body?.cancel();
  }

  async models({ signal }: { readonly signal: AbortSignal }): Promise<readonly ServedModel[]> {
    const list = await this.#endpoint.json('/v1/models', { schema: modelListSchema, signal });
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
    return yield* readGeneration(await this.#endpoint.fetch(path, { method: 'POST', body, signal }));
  }

  async close(): Promise<void> {
    // Nothing outlives its request.
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

async function* readGeneration(response: Response): AsyncGenerator<TextDelta, GenerationEnd, undefined> {
  let end: Partial<GenerationEnd> = {};
  for await (const data of readEvents(response, { hasEndMark: true })) {
    const { delta, ...ending } = parseAnswer(chunkSchema, data);
    end = { ...end, ...ending };
    if (delta !== undefined) yield delta;
  }
  const { finishReason, usage } = end;
  if (finishReason === undefined) {
    throw new SkeinError('peer-lost', 'the coordinator ended the answer without a finish reason; ask again');
  }
  return { ...end, finishReason, usage: usage ?? { promptTokens: 0, completionTokens: 0 } };
}
