import type { ChatMessage, Prompt, Sampling } from '@skein/protocol';

/** How to generate. What is left out, the server decides; {@link Sampling} documents meaning and defaults. */
export interface GenerationSettings extends Partial<Sampling> {
  /** Name or SHA-256 of the model. Default: the first one deployed, else the first one there is. */
  readonly model?: string;
  /** Most tokens to generate. Default: an equal share of the context, context / sequences - prompt, at least 256. */
  readonly maxTokens?: number;
  /** Generation ends before the first of these would appear in the text. Default none. */
  readonly stop?: readonly string[];
}

/** Continues a conversation, rendered through the model's chat template. */
export interface ChatRequest extends GenerationSettings {
  readonly messages: readonly ChatMessage[];
}

/** Continues raw text, or raw token ids. */
export interface CompletionRequest extends GenerationSettings {
  readonly prompt: string | readonly number[];
}

/** What every transport is asked for: one kind of prompt, and the settings. */
export interface TransportRequest {
  readonly prompt: Prompt;
  readonly settings: GenerationSettings;
}

/** @internal */
export function fromChat({ messages, ...settings }: ChatRequest): TransportRequest {
  return { prompt: { type: 'chat', messages: [...messages] }, settings };
}

/** @internal */
export function fromCompletion({ prompt, ...settings }: CompletionRequest): TransportRequest {
  return {
    prompt: typeof prompt === 'string' ? { type: 'text', text: prompt } : { type: 'tokens', tokens: [...prompt] },
    settings,
  };
}
