import { SkeinError } from '@skein/protocol';

import type { Libllama, ModelPointer, VocabPointer } from '../libllama/libllama.ts';

/** Texts shorter than this are tokenized in a few milliseconds, whatever they hold. */
const shortTextBytes = 65_536;

/** A model's own tokenizer. */
export class Tokenizer {
  readonly #library: Libllama;
  readonly #vocab: VocabPointer;
  #piece = new Uint8Array(256);
  #longestPiece: number | undefined;

  constructor(library: Libllama, model: ModelPointer) {
    this.#library = library;
    this.#vocab = library.modelVocab(model);
  }

  /** Loads the tokenizer alone from a file, without any weights. It stays until the process ends. */
  static open(library: Libllama, file: string): { tokenizer: Tokenizer; model: ModelPointer } {
    const model = library.loadModel(file, { ...library.modelDefaultParams(), vocab_only: true, n_gpu_layers: 0 });
    return { tokenizer: new Tokenizer(library, model), model };
  }

  get vocabularySize(): number {
    return this.#library.vocabSize(this.#vocab);
  }

  /**
   * @param options.addSpecial add what the model puts around texts, e.g. a beginning-of-sequence token
   * @param options.parseSpecial read the text forms of special tokens as those tokens
   */
  encode(text: string, options: { addSpecial: boolean; parseSpecial: boolean }): number[] {
    const bytes = new TextEncoder().encode(text);
    let tokens = new Int32Array(bytes.byteLength + 8);
    const call = (): number =>
      this.#library.tokenize(
        this.#vocab,
        bytes,
        bytes.byteLength,
        tokens,
        tokens.length,
        options.addSpecial,
        options.parseSpecial,
      );
    let count = call();
    if (count < 0) {
      tokens = new Int32Array(-count);
      count = call();
    }
    if (count < 0) throw new SkeinError('engine-failed', 'llama.cpp could not tokenize the text');
    return [...tokens.subarray(0, count)];
  }

  /** A lower bound of a text's tokens, cheap to have: as if each were the vocabulary's longest; 0 for a short text. */
  leastTokens(text: string): number {
    const bytes = Buffer.byteLength(text);
    if (bytes < shortTextBytes) return 0;
    this.#longestPiece ??= this.#findLongestPiece();
    return Math.floor(bytes / this.#longestPiece);
  }

  /** The bytes of a token's text: often part of a character. Special tokens have none unless asked for. */
  piece(token: number, options: { special?: boolean } = {}): Uint8Array {
    const call = (): number =>
      this.#library.tokenToPiece(this.#vocab, token, this.#piece, this.#piece.length, 0, options.special ?? false);
    let bytes = call();
    if (bytes < 0) {
      this.#piece = new Uint8Array(-bytes);
      bytes = call();
    }
    return this.#piece.slice(0, bytes);
  }

  isEndOfGeneration(token: number): boolean {
    return this.#library.vocabIsEndOfGeneration(this.#vocab, token);
  }

  /** Text form of the beginning- and end-of-sequence tokens, '' where the model has none. */
  specialTexts(): { bos: string; eos: string } {
    const text = (token: number): string =>
      token < 0 ? '' : new TextDecoder().decode(this.piece(token, { special: true }));
    return { bos: text(this.#library.vocabBos(this.#vocab)), eos: text(this.#library.vocabEos(this.#vocab)) };
  }

  #findLongestPiece(): number {
    let longest = 1;
    for (let token = 0; token < this.vocabularySize; token += 1) {
      longest = Math.max(longest, this.piece(token, { special: true }).byteLength);
    }
    return longest;
  }
}
