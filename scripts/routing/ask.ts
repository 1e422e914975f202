import { jsonEvents } from '../bench/json-events.ts';

/** A server of chats in OpenAI's API. */
export interface ChatEndpoint {
  /** URL without `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Further parameters of its requests. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** One answer as its client saw it. */
export interface Answer {
  readonly text: string;
  /** Time from the request to the first piece of text, in milliseconds. */
  readonly ttftMs: number;
  readonly promptTokens: number;
  /** Tokens of the prompt that the server had in a cache, as it says. */
  readonly cachedTokens: number;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  } | null;
  readonly error?: { readonly message?: string };
}

/**
 * Sends the messages of a chat, and reads the answer's stream.
 *
 * @throws Error with the server's text when it refuses or fails
 */
export async function ask(
  endpoint: ChatEndpoint,
  options: {
    readonly messages: readonly ChatMessage[];
    readonly maxTokens: number;
    readonly signal: AbortSignal;
  },
): Promise<Answer> {
  const { url, model, parameters } = endpoint;
  const { messages, maxTokens, signal } = options;
  const asked = { model, messages, max_tokens: maxTokens, temperature: 0, stream: true, ...parameters };
  const body = JSON.stringify({ ...asked, stream_options: { include_usage: true } });
  const startedMs = performance.now();
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body, signal });
  if (!response.ok || response.body === null) throw new Error(`${url} refused: ${await response.text()}`);
  let [text, ttftMs] = ['', Number.NaN];
  let usage: Chunk['usage'];
  for await (const chunk of jsonEvents<Chunk>(response.body)) {
    if (chunk.error !== undefined) throw new Error(`${url} failed: ${chunk.error.message ?? 'it does not say why'}`);
    usage = chunk.usage ?? usage;
    const piece = chunk.choices?.[0]?.delta?.content ?? '';
    if (piece !== '' && text === '') ttftMs = performance.now() - startedMs;
    text += piece;
  }
  if (usage === undefined || usage === null) throw new Error(`${url} ended without saying the usage`);
  const cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return { text, ttftMs, promptTokens: usage.prompt_tokens, cachedTokens };
}
