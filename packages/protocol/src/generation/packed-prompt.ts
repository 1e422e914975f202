import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { formatBytes } from '../format-bytes.ts';
import { limits } from '../limits.ts';
import { chatMessageSchema, type ChatMessage, type Prompt } from './prompt.ts';

const tokenBytes = 4;
const byteCount = z.number().int().nonnegative().max(limits.maxPromptBytes);

/**
 * The structure of a prompt: its roles, and how many bytes each text takes. The texts follow one another in the payload of
 * the same frame, a message's content before its name, in UTF-8; token ids, as 32 bit little-endian numbers.
 */
export const promptLayoutSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('chat'),
    messages: arraySchema(
      z.object({ role: chatMessageSchema.shape.role, contentBytes: byteCount, nameBytes: byteCount.optional() }),
      { least: 1, most: limits.maxMessages },
    ),
  }),
  z.object({ type: z.literal('text'), textBytes: byteCount }),
  z.object({ type: z.literal('tokens'), count: z.number().int().positive().max(limits.maxPromptTokens) }),
]);
export type PromptLayout = z.infer<typeof promptLayoutSchema>;

/**
 * A prompt in the form in which it crosses the mesh. Whoever passes it on looks at the layout alone: decoding megabytes of
 * text, or a million numbers, would hold up everything else that a process does.
 */
export interface PackedPrompt {
  readonly layout: PromptLayout;
  /** The texts, or the token ids. */
  readonly bytes: Uint8Array;
}

/** Packs a prompt. Throws `request-too-large` for more than {@link limits.maxPromptBytes} of text. */
export function packPrompt(prompt: Prompt): PackedPrompt {
  switch (prompt.type) {
    case 'text': {
      const { joined } = packTexts([prompt.text], 'prompt');
      return { layout: { type: 'text', textBytes: joined.byteLength }, bytes: joined };
    }
    case 'chat': {
      const texts = prompt.messages.flatMap(({ content, name }) => (name === undefined ? [content] : [content, name]));
      const { lengths, joined } = packTexts(texts, 'messages');
      let next = 0;
      const messages = prompt.messages.map(({ role, name }) => ({
        role,
        contentBytes: lengths[next++] ?? 0,
        ...(name !== undefined && { nameBytes: lengths[next++] ?? 0 }),
      }));
      return { layout: { type: 'chat', messages }, bytes: joined };
    }
    case 'tokens': {
      const { tokens } = prompt;
      const bytes = new Uint8Array(tokens.length * tokenBytes);
      const view = new DataView(bytes.buffer);
      for (const [index, token] of tokens.entries()) view.setUint32(index * tokenBytes, token, true);
      return { layout: { type: 'tokens', count: tokens.length }, bytes };
    }
  }
}

/**
 * Puts a layout and the payload that came with it together. Throws `protocol-violation` unless the payload has just as many
 * bytes as the layout says.
 */
export function withPayload(layout: PromptLayout, payload: Uint8Array): PackedPrompt {
  const bytes = payloadBytes(layout);
  if (bytes > limits.maxPromptBytes || bytes !== payload.byteLength)
    throw new SkeinError(
      'protocol-violation',
      `the prompt of a request has ${payload.byteLength} bytes where its layout says ${bytes}`,
    );
  return { layout, bytes: payload };
}

/** Unpacks what {@link packPrompt} or {@link withPayload} made. What is not UTF-8 becomes U+FFFD. */
export function unpackPrompt({ layout, bytes }: PackedPrompt): Prompt {
  let next = 0;
  const take = (length: number): string => {
    next += length;
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(next - length, next));
  };
  switch (layout.type) {
    case 'text':
      return { type: 'text', text: take(layout.textBytes) };
    case 'chat': {
      const messages = layout.messages.map(({ role, contentBytes, nameBytes }): ChatMessage => {
        const content = take(contentBytes);
        return { role, content, ...(nameBytes !== undefined && { name: take(nameBytes) }) };
      });
      return { type: 'chat', messages };
    }
    case 'tokens': {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return {
        type: 'tokens',
        tokens: Array.from({ length: layout.count }, (_, index) => view.getUint32(index * tokenBytes, true)),
      };
    }
  }
}

function payloadBytes(layout: PromptLayout): number {
  switch (layout.type) {
    case 'text':
      return layout.textBytes;
    case 'chat':
      return layout.messages.reduce((sum, { contentBytes, nameBytes = 0 }) => sum + contentBytes + nameBytes, 0);
    case 'tokens':
      return layout.count * tokenBytes;
  }
}

/** @param field what callers call the texts, for the error */
function packTexts(texts: readonly string[], field: string): { lengths: readonly number[]; joined: Uint8Array } {
  // Each character takes a byte at least: what is far too long is not encoded first.
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters > limits.maxPromptBytes) throw tooLarge(field);
  const encoder = new TextEncoder();
  const encoded = texts.map((text) => encoder.encode(text));
  const lengths = encoded.map(({ byteLength }) => byteLength);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total > limits.maxPromptBytes) throw tooLarge(field);
  const [first] = encoded;
  if (first !== undefined && encoded.length === 1) return { lengths, joined: first };
  const joined = new Uint8Array(total);
  let next = 0;
  for (const text of encoded) {
    joined.set(text, next);
    next += text.byteLength;
  }
  return { lengths, joined };
}

function tooLarge(field: string): SkeinError {
  return new SkeinError(
    'request-too-large',
    `the prompt has more than ${formatBytes(limits.maxPromptBytes)} of text; send a shorter one`,
    { details: { param: field } },
  );
}
