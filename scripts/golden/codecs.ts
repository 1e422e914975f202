import {
  decodeInvite,
  decodeValue,
  encodeFrame,
  encodeInvite,
  encodeValue,
  FrameParser,
  invariant,
  inviteSchema,
  packPrompt,
  parseHeader,
  promptSchema,
  promptTypeSchema,
  unpackPrompt,
  type Frame,
} from '@skein/protocol';
import { z } from 'zod';

/** Encoding and decoding of messages, as members do both. */
export interface Codec {
  readonly encode: (message: object) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}

/** Codec of messages that are the header of a frame. */
export const headerCodec: Codec = {
  encode: (message) => encodeFrame(message),
  decode: (bytes) => frameIn(bytes).header,
};

/** Codec of statements, which are encoded on their own. */
export const valueCodec: Codec = { encode: encodeValue, decode: (bytes) => decodeValue(bytes) };

/** Codec of invites, which are text. */
export const inviteCodec: Codec = {
  encode: (invite) => Buffer.from(encodeInvite(inviteSchema.parse(invite))),
  decode: (bytes) => decodeInvite(Buffer.from(bytes).toString('latin1')),
};

/** Header of a frame that carries a prompt, as much of it as its payload needs. */
const promptHeaderSchema = z.object({ prompt: promptTypeSchema });

/** Codec of prompts, which are the payload of a frame. */
export const promptCodec: Codec = {
  encode(prompt) {
    const { type, bytes } = packPrompt(promptSchema.parse(prompt));
    return encodeFrame({ prompt: type }, bytes);
  },
  decode(bytes) {
    const { header, payload } = frameIn(bytes);
    return unpackPrompt({ type: parseHeader(promptHeaderSchema, header).prompt, bytes: payload });
  },
};

function frameIn(bytes: Uint8Array): Frame {
  return invariant(new FrameParser().push(bytes)[0], 'golden bytes are a whole frame');
}
