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
  /** Digests of prompts that are in use. */
  readonly #known = new WeakMap<Uint8Array, readonly number[]>();

  /** @param key Default: a random one */
  constructor(key: Uint8Array = prefixKey()) {
    this.key = key;
  }

  of(prompt: PackedPrompt): readonly number[] {
    const known = this.#known.get(prompt.bytes);
    if (known !== undefined) return known;
    const digests = this.#digest(prompt);
    this.#known.set(prompt.bytes, digests);
    return digests;
  }

  #digest(prompt: PackedPrompt): readonly number[] {
    const text = textOf(prompt);
    const count = Math.min(Math.floor(text.byteLength / blockBytes), maxBlocks);
    const digests: number[] = [];
    let before: Uint8Array | string = prompt.type;
    for (let block = 0; block < count; block += 1) {
      const bytes = text.subarray(block * blockBytes, (block + 1) * blockBytes);
      const digest: Buffer = createHmac('sha256', this.key).update(before).update(bytes).digest();
      digests.push(digest.readUIntBE(0, digestBytes));
      before = digest;
    }
    return digests;
  }
}

/** Returns the bytes of a packed prompt that a longer one begins with, too: those of a conversation before its list. */
function textOf({ type, bytes }: PackedPrompt): Uint8Array {
  if (type !== 'chat') return bytes;
  const listEnd = bytes.byteLength - lengthBytes;
  if (listEnd < 0) return new Uint8Array(0);
  const listBytes = new DataView(bytes.buffer, bytes.byteOffset + listEnd, lengthBytes).getUint32(0, true);
  return bytes.subarray(0, Math.max(0, listEnd - listBytes));
}
