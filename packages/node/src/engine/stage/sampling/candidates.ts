import { invariant, SkeinError } from '@skein/protocol';

import type { Libllama, SamplerPointer } from '../../libllama/libllama.ts';

/** Words of `llama_token_data`: id, logit, probability, four bytes each. */
const wordsPerCandidate = 3;
/** Bytes of `llama_token_data_array`: pointer, size, index of the selected one, whether it is sorted. */
const arrayBytes = 32;

/** llama.cpp's list of tokens that may come next, which samplers narrow down and choose from. */
export class Candidates {
  readonly #library: Libllama;
  readonly #ids: Int32Array;
  readonly #values: Float32Array;
  readonly #address: bigint;
  readonly #array = new Uint8Array(arrayBytes);
  readonly #view = new DataView(this.#array.buffer);

  constructor(library: Libllama, vocabularySize: number) {
    this.#library = library;
    this.#ids = new Int32Array(vocabularySize * wordsPerCandidate);
    this.#values = new Float32Array(this.#ids.buffer);
    this.#address = library.addressOf(this.#ids);
  }

  /** Starts anew with all tokens. */
  fill(logits: Float32Array): void {
    for (let token = 0; token < logits.length; token += 1) {
      const word = token * wordsPerCandidate;
      this.#ids[word] = token;
      this.#values[word + 1] = invariant(logits[token], 'each token has a logit');
      this.#values[word + 2] = 0;
    }
    this.#start(logits.length);
  }

  /**
   * Rules out all tokens but those with a 1, by token. Call it only right after {@link fill} and samplers that remove
   * none.
   */
  keep(allowed: Uint8Array): void {
    for (let token = 0; token < allowed.length; token += 1) {
      if (allowed[token] === 0) this.#values[token * wordsPerCandidate + 1] = -Infinity;
    }
  }

  /** Makes a token less likely. Call it while all tokens are in their places, before any sampler that sorts. */
  penalize(token: number, penalty: number): void {
    const word = token * wordsPerCandidate;
    this.#values[word + 1] = invariant(this.#values[word + 1], 'each token has a logit') - penalty;
  }

  apply(sampler: SamplerPointer): void {
    this.#library.samplerApply(sampler, this.#array);
    if (this.#view.getBigUint64(0, true) !== this.#address) {
      throw new SkeinError('engine-failed', 'a sampler of llama.cpp moved its candidates, which none is known to do');
    }
  }

  /** Whether any token is left that has not been ruled out. */
  get isPossible(): boolean {
    const size = Number(this.#view.getBigUint64(8, true));
    for (let index = 0; index < size; index += 1) {
      if ((this.#values[index * wordsPerCandidate + 1] ?? -Infinity) > -Infinity) return true;
    }
    return false;
  }

  /** The token that the last sampler has chosen. */
  get selected(): { readonly token: number; readonly probability: number } {
    const word = Number(this.#view.getBigInt64(16, true)) * wordsPerCandidate;
    const claim = 'the last sampler has selected a candidate';
    return { token: invariant(this.#ids[word], claim), probability: invariant(this.#values[word + 2], claim) };
  }

  #start(size: number): void {
    this.#view.setBigUint64(0, this.#address, true);
    this.#view.setBigUint64(8, BigInt(size), true);
    this.#view.setBigInt64(16, -1n, true);
    this.#view.setUint8(24, 0);
  }
}
