import { SkeinError, type MetadataOverride } from '@skein/protocol';

import { enumerators } from '../libllama/c-headers.ts';
import type { Libllama, ModelPointer, VocabPointer } from '../libllama/libllama.ts';

/** Length of a text, in bytes, below which tokenizing takes a few milliseconds, whatever the text is. */
const shortTextBytes = 65_536;

/** A token that structures texts, such as `<|im_end|>`, and not part of one. */
export interface MarkToken {
  readonly token: number;
  /** The text that is read as this token where special tokens are parsed. */
  readonly text: string;
  /** Whether white space before it is removed when it is parsed. */
  readonly stripsLeft: boolean;
  /** Whether white space behind it is removed. */
  readonly stripsRight: boolean;
  /** Whether llama.cpp reads it even where special tokens are not parsed. */
  readonly isReadAlways: boolean;
}

/**
 * Form of a user-defined token that is a mark. Model files often call marks user-defined, as they do parts of texts,
 * such as runs of spaces and `<think>`.
 */
const markForm = /^<[|｜]|[|｜]>$/;

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
  static open(
    library: Libllama,
    file: string,
    overrides: readonly MetadataOverride[] = [],
  ): { tokenizer: Tokenizer; model: ModelPointer } {
    const params = { ...library.modelDefaultParams(), vocab_only: true, n_gpu_layers: 0 };
    const model = library.loadModel(file, params, { overrides });
    return { tokenizer: new Tokenizer(library, model), model };
  }

  get vocabularySize(): number {
    return this.#library.vocabSize(this.#vocab);
  }

  /**
   * Tokenizes a text.
   *
   * @param options.addSpecial whether to add the model's frame around texts, e.g. a beginning-of-sequence token
   * @param options.parseSpecial whether to read the text forms of special tokens as those tokens
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

  /** Returns all tokens that structure texts. Reads the whole vocabulary. */
  markTokens(): readonly MarkToken[] {
    const {
      LLAMA_TOKEN_ATTR_CONTROL: control,
      LLAMA_TOKEN_ATTR_UNKNOWN: unknown,
      LLAMA_TOKEN_ATTR_USER_DEFINED: userDefined,
      LLAMA_TOKEN_ATTR_LSTRIP: stripsLeft,
      LLAMA_TOKEN_ATTR_RSTRIP: stripsRight,
    } = enumerators;
    const marks: MarkToken[] = [];
    for (let token = 0; token < this.vocabularySize; token += 1) {
      const attributes = this.#library.vocabAttributes(this.#vocab, token);
      const isReadAlways = (attributes & userDefined) !== 0;
      if (!isReadAlways && (attributes & (control | unknown)) === 0) continue;
      const text = this.#library.vocabText(this.#vocab, token);
      if (text === '' || (isReadAlways && !markForm.test(text))) continue;
      marks.push({
        token,
        text,
        stripsLeft: (attributes & stripsLeft) !== 0,
        stripsRight: (attributes & stripsRight) !== 0,
        isReadAlways,
      });
    }
    return marks;
  }

  /** Returns the tokens that `addSpecial` puts before and behind a text. */
  frame(): { readonly before: readonly number[]; readonly after: readonly number[] } {
    const tokens = this.encode('', { addSpecial: true, parseSpecial: false });
    const beginning = this.#library.vocabAddsBos(this.#vocab) ? 1 : 0;
    return { before: tokens.slice(0, beginning), after: tokens.slice(beginning) };
  }

  /** Returns a cheap lower bound of a text's tokens, as if each were the vocabulary's longest; 0 for a short text. */
  leastTokens(text: string): number {
    const bytes = Buffer.byteLength(text);
    if (bytes < shortTextBytes) return 0;
    this.#longestPiece ??= this.#findLongestPiece();
    return Math.floor(bytes / this.#longestPiece);
  }

  /** Returns the bytes of a token's text: often part of a character. Special tokens have none unless asked for. */
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

  /** Returns the text forms of the beginning- and end-of-sequence tokens, '' where the model has none. */
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
