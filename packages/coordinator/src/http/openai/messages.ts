import { chatMessageSchema, limits, type ChatMessage } from '@skein/protocol';
import { z } from 'zod';

import { unsupported } from './parameters.ts';

const textPartSchema = z.strictObject({ type: z.literal('text'), text: z.string() });

/** Parts in one message: more than any client splits a text into. */
const maxTextParts = 1024;

const contentSchema = z.union([z.string(), z.array(textPartSchema).min(1).max(maxTextParts)], {
  error: 'expected a string or an array of text parts; images, audio and files are not supported yet',
});

/** One message. The keys of an answer of ours are accepted, so that it can be sent back as it came. */
const messageSchema = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant'], {
      error: 'expected system, developer, user or assistant; tools are not supported yet',
    }),
    content: contentSchema,
    name: chatMessageSchema.shape.name,
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

/** A conversation: string content or text parts, joined without anything between them. */
export const messagesSchema = z.array(messageSchema).min(1).max(limits.maxMessages);
