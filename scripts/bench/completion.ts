import { jsonEvents } from './json-events.ts';

/** A server of completions in OpenAI's API. */
export interface CompletionEndpoint {
  /** URL without `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Further parameters of its requests. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Returns an endpoint without speculation, for comparing work with work rather than answers with answers. */
export function withoutSpeculation(endpoint: CompletionEndpoint): CompletionEndpoint {
  return { ...endpoint, parameters: { ...endpoint.parameters, speculation: false } };
}

/** A text, or token ids where their number matters. */
export type Prompt = string | readonly number[];

/** One answer as its client saw it. */
export interface Completion {
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Peer whose engine answered; undefined for rivals, which do not say. */
  readonly lead: string | undefined;
  /** Time of the request, in milliseconds of `performance.now()`. */
  readonly startedMs: number;
  /** Times at which the pieces came, on the same clock; one at least. */
  readonly arrivalsMs: readonly number[];
}

interface Chunk {
  readonly choices?: readonly { readonly text?: string; readonly finish_reason?: string | null }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly error?: { readonly message?: string };
  readonly skein?: { readonly lead?: string };
}

/**
 * Sends a request for a greedy completion and reads its stream.
 *
 * @throws Error with the server's text when it refuses or fails
 */
export async function complete(
  endpoint: CompletionEndpoint,
  options: { readonly prompt: Prompt; readonly maxTokens: number; readonly signal: AbortSignal },
): Promise<Completion> {
  const { prompt, maxTokens, signal } = options;
  const body = JSON.stringify({
    model: endpoint.model,
    prompt,
    max_tokens: maxTokens,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
    ...endpoint.parameters,
  });
  const startedMs = performance.now();
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${endpoint.url}/v1/completions`, { method: 'POST', headers, body, signal });
  if (!response.ok || response.body === null) throw new Error(`${endpoint.url} refused: ${await response.text()}`);
  const arrivalsMs: number[] = [];
  let text = '';
  let usage: Chunk['usage'];
  let lead: string | undefined;
  for await (const { choices, usage: counted, error, skein } of jsonEvents<Chunk>(response.body)) {
    if (error !== undefined) throw new Error(`${endpoint.url} failed: ${error.message ?? 'it does not say why'}`);
    usage = counted ?? usage;
    lead = skein?.lead ?? lead;
    const [choice] = choices ?? [];
    if (choice === undefined) continue;
    text += choice.text ?? '';
    // A chunk with neither tells nothing about a token.
    const isEnd = choice.finish_reason !== undefined && choice.finish_reason !== null;
    if ((choice.text ?? '') !== '' || (isEnd && arrivalsMs.length === 0)) arrivalsMs.push(performance.now());
  }
  if (usage === undefined || usage === null) throw new Error(`${endpoint.url} ended without saying the usage`);
  return {
    text,
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
    lead,
    startedMs,
    arrivalsMs,
  };
}

/** Returns the milliseconds from the request to the first piece of its answer. */
export function ttftMs({
  startedMs,
  arrivalsMs: [firstMs = Number.NaN],
}: Pick<Completion, 'startedMs' | 'arrivalsMs'>) {
  return firstMs - startedMs;
}

/** Returns the average milliseconds from one token of an answer to the next. */
export function decodeMsPerToken({
  arrivalsMs,
  completionTokens,
}: Pick<Completion, 'arrivalsMs' | 'completionTokens'>) {
  return ((arrivalsMs.at(-1) ?? Number.NaN) - (arrivalsMs[0] ?? Number.NaN)) / (completionTokens - 1);
}
