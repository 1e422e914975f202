import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { limits } from '../limits.ts';

/** A part of a message. Every kind of content is a member of this union; text is the only one so far. */
export const messagePartSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string().max(limits.maxPromptBytes) }),
]);
export type MessagePart = z.infer<typeof messagePartSchema>;

/** One turn of a conversation, whatever API it came by. The model's chat template decides which roles mean something. */
export const messageSchema = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  parts: arraySchema(messagePartSchema, { least: 1, most: limits.maxMessageParts }),
  name: z.string().max(limits.maxNameLength).optional(),
});
export type Message = z.infer<typeof messageSchema>;

/** A message of one text. */
export interface TextMessage extends Pick<Message, 'role' | 'name'> {
  readonly content: string;
}

/** Makes a message of one text. */
export function fromText({ role, content, name }: TextMessage): Message {
  return { role, parts: [{ type: 'text', text: content }], ...(name !== undefined && { name }) };
}

/** Returns the text of a message: that of its parts, with nothing between them. */
export function textOf({ parts }: Message): string {
  return parts.map(({ text }) => text).join('');
}
