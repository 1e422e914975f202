import { createHmac, randomBytes } from 'node:crypto';

import { prefixLimits, type PackedPrompt } from '@skein/protocol';

const { blockBytes, digestBytes, keyBytes } = prefixLimits;
/** Most blocks of a prompt that are looked at: a megabyte of text. */
const maxBlocks = 2048;
const lengthBytes = 4;

/** Makes a key for {@link PromptDigests}. */
export function prefixKey(): Uint8Array {
  return randomBytes(keyBytes);
}

/**
 * Digests of prompts' blocks, each over all text before it. Without the key a digest does not tell whether a
 * prompt was asked. Of a conversation the texts alone count, not who says them: digests choose a replica, and decide
 * nothing else.
 */
export class PromptDigests {
  readonly blockBytes = blockBytes;
  readonly key: Uint8Array;
  /** Chains of prompts that are in use. */
  readonly #known = new WeakMap<Uint8Array, DigestChain>();

  /** @param key Default: a random one */
  constructor(key: Uint8Array = prefixKey()) {
    this.key = key;
  }

  /** Returns the digests of a prompt's whole blocks. */
  of(prompt: PackedPrompt): readonly number[] {
    return this.chain(prompt).digests;
  }

  /** Returns the digests of the whole blocks that a prompt with its answer has beyond those of the prompt. */
  ofAnswer(prompt: PackedPrompt, answer: string): readonly number[] {
    return this.chain(prompt).ofAnswer(answer);
  }

  /** Returns the digests of a prompt, to go on from without it. */
  chain(prompt: PackedPrompt): DigestChain {
    const known = this.#known.get(prompt.bytes);
    if (known !== undefined) return known;
    const chain = new DigestChain(this.key, prompt);
    this.#known.set(prompt.bytes, chain);
    return chain;
  }
}

/** The digests of a prompt's whole blocks, and as much of it as those of an answer need. */
export class DigestChain {
  readonly digests: readonly number[];
  readonly #key: Uint8Array;
  readonly #type: PackedPrompt['type'];
  readonly #last: Uint8Array | string;
  /** Bytes behind the last whole block. */
  readonly #rest: Uint8Array;

  constructor(key: Uint8Array, prompt: PackedPrompt) {
    const text = textOf(prompt);
    const { digests, last } = digest(key, text, { after: prompt.type, most: maxBlocks });
    this.digests = digests;
    this.#key = key;
    this.#type = prompt.type;
    this.#last = last;
    // A copy: the prompt is not kept.
    this.#rest = text.slice(digests.length * blockBytes, (digests.length + 1) * blockBytes);
  }

  /** Returns the digests of the blocks that an answer fills up; none for a prompt of token ids, which goes on in tokens. */
  ofAnswer(answer: string): readonly number[] {
    if (this.#type === 'tokens') return [];
    const text = Buffer.concat([this.#rest, Buffer.from(answer)]);
    return digest(this.#key, text, { after: this.#last, most: maxBlocks - this.digests.length }).digests;
  }
}

/** Returns the digests of a text's whole blocks, and the last one in full, which those that follow go on from. */
function digest(
  key: Uint8Array,
  text: Uint8Array,
  { after, most }: { readonly after: Uint8Array | string; readonly most: number },
): { readonly digests: readonly number[]; readonly last: Uint8Array | string } {
  const count = Math.min(Math.floor(text.byteLength / blockBytes), most);
  const digests: number[] = [];
  let last = after;
  for (let block = 0; block < count; block += 1) {
    const bytes = text.subarray(block * blockBytes, (block + 1) * blockBytes);
    const whole: Buffer = createHmac('sha256', key).update(last).update(bytes).digest();
    digests.push(whole.readUIntBE(0, digestBytes));
    last = whole;
  }
  return { digests, last };
}

/** Returns the bytes of a packed prompt that a longer one begins with, too: those of a conversation before its list. */
function textOf({ type, bytes }: PackedPrompt): Uint8Array {
  if (type !== 'chat') return bytes;
  const listEnd = bytes.byteLength - lengthBytes;
  if (listEnd < 0) return new Uint8Array(0);
  const listBytes = new DataView(bytes.buffer, bytes.byteOffset + listEnd, lengthBytes).getUint32(0, true);
  return bytes.subarray(0, Math.max(0, listEnd - listBytes));
}
