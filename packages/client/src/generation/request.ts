import {
  arraySchema,
  check,
  fromText,
  limits,
  messageSchema,
  promptSchema,
  SkeinError,
  type Prompt,
  type samplingSchema,
} from '@skein/protocol';
import { z } from 'zod';

/**
 * Settings of a generation. The server decides those that are left out; {@link samplingSchema} documents meaning and
 * defaults.
 */
export interface GenerationSettings extends z.input<typeof samplingSchema> {
  /** Name or SHA-256 of the model. Default: the first one deployed, else the first one there is. */
  readonly model?: string;
  /** Most tokens to generate. Default: an equal share of the context, context / sequences - prompt, at least 256. */
  readonly maxTokens?: number;
  /** Texts before whose first occurrence the generation ends. Default: none. */
  readonly stop?: readonly string[];
  /** A JSON schema that the text has to follow. Excludes `grammar`. Default: any text. */
  readonly jsonSchema?: object;
  /** Whether to draft tokens ahead and verify several at a time. The text is the same either way. Default true. */
  readonly speculation?: boolean;
  /**
   * Labels that every machine has to have which computes a part of the answer, like `{ zone: 'eu' }`. A request that no
   * replica can answer so ends with an error. Default: none.
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Name of the session that the request belongs to, at most 256 characters: it goes where its last one went, unless it
   * would wait there for longer than reading everything anew takes. Default: none.
   */
  readonly session?: string;
}

const chatMessageSchema = messageSchema
  .omit({ parts: true })
  .extend({ content: z.string().max(limits.maxPromptBytes) });
const conversationSchema = z.object({
  messages: arraySchema(chatMessageSchema, { least: 1, most: limits.maxMessages }),
});

/** One turn of a conversation. The model's chat template decides which roles mean something. */
export type ChatMessage = z.infer<typeof chatMessageSchema>;

/** A request to continue a conversation, rendered through the model's chat template. */
export interface ChatRequest extends GenerationSettings {
  readonly messages: readonly ChatMessage[];
}

/** A request to continue raw text, or raw token ids. */
export interface CompletionRequest extends GenerationSettings {
  readonly prompt: string | readonly number[];
}

/** The request to any transport: one kind of prompt, and the settings. */
export interface TransportRequest {
  readonly prompt: Prompt;
  readonly settings: GenerationSettings;
}

/**
 * Turns a chat request into one for any transport.
 *
 * @throws SkeinError `invalid-request` for messages that no transport could send
 * @internal
 */
export function fromChat({ messages, ...settings }: ChatRequest): TransportRequest {
  const checked = check(conversationSchema, { messages });
  if (!checked.ok) throw new SkeinError('invalid-request', checked.problem, { cause: checked.cause });
  return { prompt: { type: 'chat', messages: checked.data.messages.map(fromText) }, settings };
}

/**
 * Turns a completion request into one for any transport.
 *
 * @throws SkeinError `invalid-request` for a prompt that no transport could send
 * @internal
 */
export function fromCompletion({ prompt, ...settings }: CompletionRequest): TransportRequest {
  const checked = check(
    promptSchema,
    typeof prompt === 'string' ? { type: 'text', text: prompt } : { type: 'tokens', tokens: prompt },
  );
  // There is one field only, which callers know by another name.
  if (!checked.ok)
    throw new SkeinError('invalid-request', `prompt${checked.problem.replace(/^\w+/, '')}`, { cause: checked.cause });
  return { prompt: checked.data, settings };
}
