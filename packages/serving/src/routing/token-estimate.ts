import type { PackedPrompt } from '@skein/protocol';

/** Bytes of a token where nothing was measured: about what English text has with vocabularies of today. */
const defaultBytesPerToken = 4;
const bytesPerTokenId = 4;
/** Weight of the newest prompt in the running mean, for prompts of many tokens. */
const newestShare = 0.1;
/** Tokens from which a prompt counts fully: of short ones the template is the most. */
const tellingTokens = 64;

/**
 * The number of tokens of prompts before they are tokenized, which the lead alone can do: by their bytes, and by how many
 * bytes the tokens of a model have had in earlier prompts.
 */
export class TokenEstimate {
  /** Mean bytes of a token, by model. */
  readonly #bytesPerToken = new Map<string, number>();

  /** Returns the expected number of tokens of a prompt: the exact one where it consists of token ids. */
  tokens(model: string, prompt: Pick<PackedPrompt, 'type'> & { readonly byteLength: number }): number {
    if (prompt.type === 'tokens') return prompt.byteLength / bytesPerTokenId;
    return Math.max(1, Math.round(prompt.byteLength / this.bytesPerToken(model)));
  }

  /** Returns the mean number of bytes of a token, as measured, or a guess. */
  bytesPerToken(model: string): number {
    return this.#bytesPerToken.get(model) ?? defaultBytesPerToken;
  }

  /** Learns from the number of tokens that a lead has made of a prompt. */
  observe(
    model: string,
    prompt: Pick<PackedPrompt, 'type'> & { readonly byteLength: number },
    promptTokens: number,
  ): void {
    if (prompt.type === 'tokens' || prompt.byteLength === 0 || promptTokens <= 0) return;
    const before = this.bytesPerToken(model);
    const share = newestShare * Math.min(1, promptTokens / tellingTokens);
    this.#bytesPerToken.set(model, before + share * (prompt.byteLength / promptTokens - before));
  }
}
