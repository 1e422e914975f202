import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { decodeValue, encodeValue } from '../codec/frame.ts';
import { parseHeader } from '../codec/parse-header.ts';
import { messageSchema, textOf, type Message } from '../conversation/message.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { formatBytes } from '../format-bytes.ts';
import { limits } from '../limits.ts';
import type { Prompt } from './prompt.ts';

const tokenBytes = 4;
const lengthBytes = 4;
/** Most bytes of UTF-8 for a UTF-16 unit: three, since a surrogate pair, two units, takes four. */
const mostBytesPerUnit = 3;
/** UTF-16 units that are encoded in one step. */
const unitsPerStep = 1024 * 1024;

/** The kind of a prompt, in the header of a request whose payload is the packed prompt. */
export const promptTypeSchema = z.enum(['chat', 'text', 'tokens']);

/**
 * A prompt as it crosses the mesh. Processes that pass it on do not decode it: megabytes of text, thousands of messages
 * or a million numbers would hold up everything else that they do.
 *
 *     text    UTF-8
 *     tokens  u32 LE each
 *     chat    UTF-8   texts of parts, and names, one behind the other
 *             MessagePack list of [role, list of ['text', bytes of the text], bytes of the name or null], one for each message
 *             u32 LE  length of that list
 */
export interface PackedPrompt {
  readonly type: z.infer<typeof promptTypeSchema>;
  readonly bytes: Uint8Array;
}

const byteCount = z.number().int().nonnegative().max(limits.maxPromptBytes);
const packedPartSchema = z.tuple([z.literal('text'), byteCount]);
const packedPartsSchema = arraySchema(packedPartSchema, { least: 1, most: limits.maxMessageParts });
const packedMessageSchema = z.tuple([messageSchema.shape.role, packedPartsSchema, byteCount.nullable()]);
const packedMessagesSchema = arraySchema(packedMessageSchema, { least: 1, most: limits.maxMessages });

/**
 * Packs a prompt.
 *
 * @throws SkeinError `request-too-large` when its text is over {@link limits.maxPromptBytes}
 */
export function packPrompt(prompt: Prompt): PackedPrompt {
  const steps = pack(prompt);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Packs a prompt as {@link packPrompt} does, a mebibyte at a time.
 *
 * @param rest called between two steps; the next one follows when it resolves
 * @throws SkeinError `request-too-large` when its text is over {@link limits.maxPromptBytes}
 */
export async function packPromptInSteps(prompt: Prompt, rest: () => Promise<void>): Promise<PackedPrompt> {
  const steps = pack(prompt);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await rest();
  }
}

/** Packs a prompt; yields between two steps. */
function* pack(prompt: Prompt): Generator<undefined, PackedPrompt> {
  const { type } = prompt;
  switch (type) {
    case 'text': {
      const texts = new PackedTexts(prompt.text.length, { field: 'prompt' });
      yield* texts.push(prompt.text);
      return { type, bytes: texts.with() };
    }
    case 'chat': {
      const { messages } = prompt;
      const units = messages.reduce((sum, message) => sum + textOf(message).length + (message.name ?? '').length, 0);
      const texts = new PackedTexts(units, { field: 'messages', spare: messages.length * 32 + 2 * lengthBytes });
      const list: z.infer<typeof packedMessageSchema>[] = [];
      for (const { role, parts, name } of messages) {
        const packed: z.infer<typeof packedPartsSchema>[number][] = [];
        for (const { type: kind, text } of parts) packed.push([kind, yield* texts.push(text)]);
        list.push([role, packed, name === undefined ? null : yield* texts.push(name)]);
      }
      const listBytes = encodeValue(list);
      const length = new Uint8Array(lengthBytes);
      new DataView(length.buffer).setUint32(0, listBytes.byteLength, true);
      return { type, bytes: texts.with(listBytes, length) };
    }
    case 'tokens': {
      const { tokens } = prompt;
      const bytes = new Uint8Array(tokens.length * tokenBytes);
      const view = new DataView(bytes.buffer);
      for (const [index, token] of tokens.entries()) view.setUint32(index * tokenBytes, token, true);
      return { type, bytes };
    }
  }
}

/**
 * Unpacks a prompt. Malformed UTF-8 becomes U+FFFD. Token ids are any of 32 bits; no vocabulary is asked here.
 *
 * @throws SkeinError `protocol-violation` for bytes that no prompt packs into
 */
export function unpackPrompt({ type, bytes }: PackedPrompt): Prompt {
  switch (type) {
    case 'text':
      assertMostBytes(bytes.byteLength);
      return { type, text: decodeText(bytes) };
    case 'chat':
      return { type, messages: unpackMessages(bytes) };
    case 'tokens': {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const count = bytes.byteLength / tokenBytes;
      if (!Number.isInteger(count) || count > limits.maxPromptTokens) throw malformed('is no list of token ids');
      const tokens = Array.from({ length: count }, (_, index) => view.getUint32(index * tokenBytes, true));
      return { type, tokens };
    }
  }
}

function unpackMessages(bytes: Uint8Array): Message[] {
  const listEnd = bytes.byteLength - lengthBytes;
  if (listEnd < 0) throw malformed('has no list of messages');
  const listBytes = new DataView(bytes.buffer, bytes.byteOffset + listEnd, lengthBytes).getUint32(0, true);
  const textBytes = listEnd - listBytes;
  if (textBytes < 0) throw malformed('has no list of messages');
  assertMostBytes(textBytes);
  const list = parseHeader(packedMessagesSchema, decodeValue(bytes.subarray(textBytes, listEnd)));
  const told = list.reduce((sum, [, parts, name]) => parts.reduce((all, [, text]) => all + text, sum + (name ?? 0)), 0);
  if (told !== textBytes) throw malformed(`has ${textBytes} bytes of text where its messages tell of ${told}`);
  let next = 0;
  const take = (length: number): string => {
    next += length;
    return decodeText(bytes.subarray(next - length, next));
  };
  return list.map(([role, packed, nameBytes]) => {
    const parts = packed.map(([type, textBytes]) => ({ type, text: take(textBytes) }));
    return nameBytes === null ? { role, parts } : { role, parts, name: take(nameBytes) };
  });
}

/**
 * Texts as UTF-8 in one buffer: thousands of small buffers would keep the garbage collector busy, and large texts are
 * not copied.
 */
class PackedTexts {
  readonly #encoder = new TextEncoder();
  readonly #field: string;
  /** Bytes kept free for what follows the texts. */
  readonly #spare: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #end = 0;
  #unitsLeft: number;
  #unitsInStep = 0;

  /**
   * @param units UTF-16 units of all texts to come: each takes a byte at least, and mostly no more
   * @param options.field the callers' name for the texts, for errors
   */
  constructor(units: number, { field, spare = 0 }: { readonly field: string; readonly spare?: number }) {
    this.#field = field;
    this.#spare = spare;
    this.#unitsLeft = units;
    if (units > limits.maxPromptBytes) throw this.#tooLarge();
    this.#bytes = new Uint8Array(units + spare);
  }

  /** Adds a text; yields between two steps, and returns its length in bytes. */
  *push(text: string): Generator<undefined, number> {
    const start = this.#end;
    for (let done = 0; done < text.length;) {
      const next = pieceEnd(text, done);
      const piece = text.slice(done, next);
      const { read, written } = this.#encoder.encodeInto(piece, this.#bytes.subarray(this.#end));
      done += read;
      this.#end += written;
      this.#unitsLeft -= read;
      if (this.#end > limits.maxPromptBytes) throw this.#tooLarge();
      if (done < next) this.#makeRoom(Math.min(this.#unitsLeft * mostBytesPerUnit, limits.maxPromptBytes));
      this.#unitsInStep += read;
      if (this.#unitsInStep < unitsPerStep) continue;
      this.#unitsInStep = 0;
      yield;
    }
    return this.#end - start;
  }

  /** Returns the texts, with more bytes behind them. */
  with(...more: readonly Uint8Array[]): Uint8Array {
    const bytes = more.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (this.#end + bytes > this.#bytes.byteLength) this.#makeRoom(bytes);
    let end = this.#end;
    for (const part of more) {
      this.#bytes.set(part, end);
      end += part.byteLength;
    }
    return this.#bytes.subarray(0, end);
  }

  #makeRoom(bytes: number): void {
    const grown = new Uint8Array(this.#end + bytes + this.#spare);
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = grown;
  }

  #tooLarge(): SkeinError {
    return new SkeinError(
      'request-too-large',
      `the prompt has more than ${formatBytes(limits.maxPromptBytes)} of text; send a shorter one`,
      { details: { param: this.#field } },
    );
  }
}

/** Returns where the next piece of a text ends: not between the halves of a surrogate pair. */
function pieceEnd(text: string, start: number): number {
  const end = Math.min(start + unitsPerStep, text.length);
  const last = text.charCodeAt(end - 1);
  return end < text.length && last >= 0xd800 && last < 0xdc00 ? end + 1 : end;
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function assertMostBytes(textBytes: number): void {
  if (textBytes > limits.maxPromptBytes) throw malformed(`has ${textBytes} bytes of text`);
}

function malformed(what: string): SkeinError {
  return new SkeinError('protocol-violation', `the prompt of a request ${what}`);
}
