import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { messageSchema } from '../conversation/message.ts';
import { limits } from '../limits.ts';

/**
 * A list of token ids. One check of our own stops at the first bad one: a schema per element would collect an error for
 * each of the millions that fit into a frame.
 */
export const tokensSchema = z.custom<readonly number[]>(isTokenList, {
  error: `must be 1 to ${limits.maxPromptTokens} token ids`,
});

function isTokenList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > limits.maxPromptTokens) return false;
  return value.every((token) => Number.isInteger(token) && token >= 0 && token < limits.maxVocabularySize);
}

/** The text to continue: a conversation, rendered through the model's chat template; raw text; or raw token ids. */
export const promptSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('chat'),
    messages: arraySchema(messageSchema, { least: 1, most: limits.maxMessages }),
  }),
  z.object({ type: z.literal('text'), text: z.string().max(limits.maxPromptBytes) }),
  z.object({ type: z.literal('tokens'), tokens: tokensSchema }),
]);
export type Prompt = z.infer<typeof promptSchema>;
