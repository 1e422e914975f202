import { arraySchema, limits, type ChatMessage } from '@skein/protocol';
import { z } from 'zod';

import { isObject, optional, unsupported } from './parameters.ts';

const textPartSchema = z.strictObject({ type: z.literal('text'), text: z.string() });

/** Parts in one message: more than any client splits a text into. */
const maxTextParts = 1024;

const contentSchema = z.union([z.string(), arraySchema(textPartSchema, { least: 1, most: maxTextParts })], {
  error: ({ input }) => explainContent(input),
});

/** The reason for which something is no content. */
function explainContent(content: unknown): string {
  if (content === null) return 'null is not supported; send "" for a message without text';
  if (!Array.isArray(content)) return 'expected a string or an array of text parts';
  if (content.length === 0) return 'expected at least 1 text part; send "" for a message without text';
  if (content.length > maxTextParts) return `expected at most ${maxTextParts} text parts`;
  const isOtherPart = content.some((part) => isObject(part) && 'type' in part && part.type !== 'text');
  if (isOtherPart) return 'expected text parts; images, audio and files are not supported yet';
  return 'expected text parts: {"type": "text", "text": "..."}';
}

/**
 * One message: string content or text parts, which are joined without anything between them. The keys of an answer of ours are accepted, so
 * that it can be sent back as it came.
 */
export const messageSchema = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant'], {
      error: 'expected system, developer, user or assistant; tools are not supported yet',
    }),
    content: contentSchema,
    name: optional(z.string().max(limits.maxNameLength)),
    refusal: unsupported(),
    annotations: unsupported([]),
    audio: unsupported(),
    tool_calls: unsupported([]),
    function_call: unsupported(),
  })
  .transform(({ role, content, name }): ChatMessage => {
    const text = typeof content === 'string' ? content : content.map((part) => part.text).join('');
    return name === undefined ? { role, content: text } : { role, content: text, name };
  });

/** A conversation whose messages are not checked yet. */
export const messagesSchema = arraySchema(z.unknown(), { least: 1, most: limits.maxMessages });
