import { invariant, SkeinError } from '@skein/protocol';

import { memoryOf, structLayouts } from '../../libllama/c-headers.ts';
import type { Libllama, SamplerPointer } from '../../libllama/libllama.ts';

const wordBytes = 4;
const candidate = memoryOf(structLayouts.llama_token_data);
const wordsPerCandidate = candidate.bytes / wordBytes;
/** Places in a candidate, in words. */
const idWord = candidate.offsets.id / wordBytes;
const logitWord = candidate.offsets.logit / wordBytes;
const probabilityWord = candidate.offsets.p / wordBytes;
const { bytes: arrayBytes, offsets: array } = memoryOf(structLayouts.llama_token_data_array);

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
      this.#ids[word + idWord] = token;
      this.#values[word + logitWord] = invariant(logits[token], 'each token has a logit');
      this.#values[word + probabilityWord] = 0;
    }
    this.#start(logits.length);
  }

  /**
   * Rules out all tokens but those with a 1, by token. Call it only right after {@link fill} and samplers that remove
   * none.
   */
  keep(allowed: Uint8Array): void {
    for (let token = 0; token < allowed.length; token += 1) {
      if (allowed[token] === 0) this.#values[token * wordsPerCandidate + logitWord] = -Infinity;
    }
  }

  /** Makes a token less likely. Call it while all tokens are in their places, before any sampler that sorts. */
  penalize(token: number, penalty: number): void {
    const word = token * wordsPerCandidate + logitWord;
    this.#values[word] = invariant(this.#values[word], 'each token has a logit') - penalty;
  }

  /** Has a sampler, or a chain of them, narrow the candidates down. */
  apply(sampler: SamplerPointer): void {
    this.#library.samplerApply(sampler, this.#array);
    const end = this.#first + Number(this.#view.getBigUint64(array.size, true));
    if (this.#first < 0 || !Number.isInteger(this.#first) || end * wordsPerCandidate > this.#ids.length) {
      throw new SkeinError(
        'engine-failed',
        'a sampler of llama.cpp put its candidates elsewhere, which none is known to do',
      );
    }
  }

  /** Place of the first candidate that is left: XTC drops the likeliest ones by beginning behind them. */
  get #first(): number {
    return Number(this.#view.getBigUint64(array.data, true) - this.#address) / candidate.bytes;
  }

  /** Whether any token is left that has not been ruled out. */
  get isPossible(): boolean {
    const size = Number(this.#view.getBigUint64(array.size, true));
    for (let index = 0; index < size; index += 1) {
      if ((this.#values[index * wordsPerCandidate + logitWord] ?? -Infinity) > -Infinity) return true;
    }
    return false;
  }

  /** The token that the last sampler has chosen. */
  get selected(): { readonly token: number; readonly probability: number } {
    const word = (this.#first + Number(this.#view.getBigInt64(array.selected, true))) * wordsPerCandidate;
    const claim = 'the last sampler has selected a candidate';
    return {
      token: invariant(this.#ids[word + idWord], claim),
      probability: invariant(this.#values[word + probabilityWord], claim),
    };
  }

  #start(size: number): void {
    this.#view.setBigUint64(array.data, this.#address, true);
    this.#view.setBigUint64(array.size, BigInt(size), true);
    this.#view.setBigInt64(array.selected, -1n, true);
    this.#view.setUint8(array.sorted, 0);
  }
}
