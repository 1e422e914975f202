import { SkeinError, unpackPrompt, type PackedPrompt } from '@skein/protocol';

import type { ChatTemplate } from './chat-template/chat-template.ts';
import { ConversationEncoder } from './conversation-encoder.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface PromptReaderOptions {
  readonly tokenizer: Tokenizer;
  /** Template of the model; undefined where it has none: conversations are refused then. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Number of tokens that the context holds. */
  readonly contextTokens: number;
}

/** A reader of requests' prompts, which turns them into tokens. */
export class PromptReader {
  readonly #options: PromptReaderOptions;
  readonly #conversations: ConversationEncoder;

  constructor(options: PromptReaderOptions) {
    this.#options = options;
    this.#conversations = new ConversationEncoder(options.tokenizer);
  }

  /**
   * Returns the tokens of a prompt.
   *
   * @param now the present, as chat templates tell it
   * @throws SkeinError `context-length-exceeded` for a prompt that can't fit; `invalid-request` for tokens that the model does
   *   not have, and for a conversation where the model has no template; and as {@link ChatTemplate.render} does
   */
  read(packed: PackedPrompt, now: Date): readonly number[] {
    const { tokenizer, chatTemplate, contextTokens } = this.#options;
    const prompt = unpackPrompt(packed);
    const tokens = ((): readonly number[] => {
      switch (prompt.type) {
        case 'tokens':
          this.#assertKnown(prompt.tokens);
          return prompt.tokens;
        case 'text':
          this.#assertMayFit(prompt.text);
          return tokenizer.encode(prompt.text, { addSpecial: true, parseSpecial: true });
        case 'chat': {
          if (chatTemplate === undefined) {
            throw new SkeinError('invalid-request', 'this model has no chat template; use plain completions');
          }
          const text = chatTemplate.render(prompt.messages, now);
          this.#assertMayFit(text.value);
          return this.#conversations.encode(text);
        }
      }
    })();
    if (tokens.length >= contextTokens) throw tooLong(`${tokens.length} tokens`, contextTokens);
    return tokens;
  }

  #assertKnown(tokens: readonly number[]): void {
    const { vocabularySize } = this.#options.tokenizer;
    const outside = tokens.find((token) => token >= vocabularySize);
    if (outside === undefined) return;
    throw new SkeinError('invalid-request', `token ${outside} is outside the model's vocabulary of ${vocabularySize}`);
  }

  /**
   * Refuses a text that can't fit anyhow, before tokenizing it: that takes seconds for a megabyte, during which nobody
   * else is served.
   */
  #assertMayFit(text: string): void {
    const { tokenizer, contextTokens } = this.#options;
    const leastTokens = tokenizer.leastTokens(text);
    if (leastTokens > contextTokens) throw tooLong(`more than ${leastTokens} tokens`, contextTokens);
  }
}

function tooLong(length: string, contextTokens: number): SkeinError {
  return new SkeinError(
    'context-length-exceeded',
    `the prompt has ${length} where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
  );
}
