import { createHash } from 'node:crypto';

import {
  invariant,
  SkeinError,
  type DescribedLogprobs,
  type FinishReason,
  type GenerationEvent,
  type Logprobs,
  type Resume,
  type Usage,
} from '@skein/protocol';

import type { ChannelFilter } from './channels.ts';
import type { DrawnToken } from './sequence.ts';
import { TextAssembler } from './text-assembler.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The part of the usage that depends on the lead's other work. */
export type SequenceCost = Pick<Usage, 'cachedTokens' | 'draftedTokens'>;

export interface AnswerOptions {
  readonly tokenizer: Pick<Tokenizer, 'piece' | 'isEndOfGeneration' | 'vocabularySize'>;
  readonly stop: readonly string[];
  /** Filter of hidden channels; undefined where all text is shown. */
  readonly channels: ChannelFilter | undefined;
  readonly prompt: readonly number[];
  /** Most tokens to generate, including those of other leads. */
  readonly maxTokens: number;
  /** Returns the milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/**
 * The answer of one generation: it turns tokens into events, and tells when it is complete. It continues what another
 * lead had generated as if it had generated that itself.
 */
export class Answer {
  readonly #options: AnswerOptions;
  readonly #assembler: TextAssembler;
  readonly #startedAt: number;
  #firstTokenAt: number | undefined;
  #tokens = 0;
  /** Number of its tokens that were drawn here and had been drafted. */
  #acceptedTokens = 0;
  /** Reason of its end; undefined as long as it goes on. */
  #finishReason: FinishReason | undefined;
  /** Text of other leads' tokens that nobody has passed on. */
  #unsent = '';
  #text = '';
  readonly #promptHash: string;

  /** @throws SkeinError `invalid-request` when `resume` can't be the state of this request */
  constructor(options: AnswerOptions, resume: Resume | undefined) {
    this.#options = options;
    this.#assembler = new TextAssembler(options.stop);
    this.#startedAt = options.now();
    this.#promptHash = hashOf(options.prompt);
    if (resume !== undefined) this.#replay(resume);
  }

  get isComplete(): boolean {
    return this.#finishReason !== undefined;
  }

  /** All its text, that of other leads' tokens included, without what is held back. */
  get text(): string {
    return this.#text;
  }

  /** Returns the event that it has begun, and the unsent text of other leads' tokens. */
  begin(): readonly GenerationEvent[] {
    const { prompt, maxTokens } = this.#options;
    const promptHash = this.#promptHash;
    return [{ type: 'generation-begin', promptTokens: prompt.length, promptHash, maxTokens }, ...say(this.#unsent)];
  }

  /** Takes a drawn token of an answer that goes on. Returns the events that it adds. */
  push({ token, logprobs, mu, isDraft }: DrawnToken): readonly GenerationEvent[] {
    const { tokenizer, now } = this.#options;
    this.#firstTokenAt ??= now();
    this.#acceptedTokens += Number(isDraft);
    const { text, isShown } = this.#take(token);
    if (tokenizer.isEndOfGeneration(token)) return say(text);
    // Log-probabilities are of the text that is shown, and would tell what is not.
    const described = logprobs === undefined || !isShown ? {} : { logprobs: [this.#describe(logprobs)] };
    const delta: GenerationEvent = {
      type: 'text-delta',
      text,
      tokens: [token],
      ...described,
      ...(mu !== undefined && { mu }),
    };
    return this.#finishReason === 'length' ? [delta, ...say(this.#rest('length'))] : [delta];
  }

  /** Returns the event that it is complete, with its usage. */
  end(cost: SequenceCost): Extract<GenerationEvent, { type: 'generation-end' }> {
    const { now, prompt } = this.#options;
    const firstTokenAt = this.#firstTokenAt ?? now();
    return {
      type: 'generation-end',
      finishReason: invariant(this.#finishReason, 'an answer ends when it is complete'),
      usage: {
        promptTokens: prompt.length,
        completionTokens: this.#tokens,
        ...cost,
        acceptedTokens: this.#acceptedTokens,
      },
      timings: { firstTokenMs: firstTokenAt - this.#startedAt, decodeMs: now() - firstTokenAt },
    };
  }

  #replay({ promptHash, tokens, emittedCharacters }: Resume): void {
    const { tokenizer, maxTokens } = this.#options;
    if (promptHash !== this.#promptHash) throw contradicts('here its prompt has other tokens');
    if (tokens.length > maxTokens) throw contradicts(`${tokens.length} tokens of at most ${maxTokens}`);
    let shown = '';
    for (const token of tokens) {
      if (token >= tokenizer.vocabularySize) throw contradicts(`token ${token} is outside the model's vocabulary`);
      if (this.isComplete) throw contradicts('there are tokens behind the end of the answer');
      shown += this.#take(token).text;
    }
    if (this.#finishReason === 'length') shown += this.#rest('length');
    // Text that is held back is shown at the end alone: the model had ended the answer, with a token that is never passed on.
    else if (emittedCharacters > shown.length && !this.isComplete) {
      this.#tokens += 1;
      this.#finishReason = 'stop';
      shown += this.#rest('stop');
    }
    this.#unsent = shown.slice(emittedCharacters);
    if (emittedCharacters > shown.length || !this.#unsent.isWellFormed()) {
      throw contradicts(`${emittedCharacters} characters were passed on of a text of ${shown.length}`);
    }
  }

  /** Counts a token, and determines the text that it adds and whether it completes the answer. */
  #take(token: number): { readonly text: string; readonly isShown: boolean } {
    const { tokenizer, channels, maxTokens } = this.#options;
    this.#tokens += 1;
    if (tokenizer.isEndOfGeneration(token)) {
      this.#finishReason = 'stop';
      return { text: this.#rest('stop'), isShown: true };
    }
    const piece = tokenizer.piece(token);
    const bytes = channels === undefined ? piece : channels.push(token, piece);
    const text = this.#assembler.push(bytes);
    this.#text += text;
    if (this.#assembler.stopped) this.#finishReason = 'stop';
    else if (this.#tokens >= maxTokens) this.#finishReason = 'length';
    return { text, isShown: channels === undefined || bytes.byteLength > 0 };
  }

  /** Returns the text that was held back, when the answer has ended for this reason. */
  #rest(reason: FinishReason): string {
    const { channels } = this.#options;
    const held = channels === undefined ? '' : this.#assembler.push(channels.end());
    const text = held + this.#assembler.end(reason);
    this.#text += text;
    return text;
  }

  #describe({ token, logprob, top }: Logprobs): DescribedLogprobs {
    const { tokenizer } = this.#options;
    const bytes = (of: number): number[] => [...tokenizer.piece(of, { special: true })];
    return { token, logprob, bytes: bytes(token), top: top.map((other) => ({ ...other, bytes: bytes(other.token) })) };
  }
}

/** Returns the hash by which leads tell prompts apart. */
export function hashOf(prompt: readonly number[]): string {
  return createHash('sha256').update(Uint32Array.from(prompt)).digest('hex');
}

/** Makes the event for some text that no new token belongs to; none for an empty text. */
function say(text: string): readonly GenerationEvent[] {
  return text === '' ? [] : [{ type: 'text-delta', text, tokens: [] }];
}

/** Makes the error `invalid-request` for a `resume` that can't be the state of its request. */
export function contradicts(reason: string): SkeinError {
  return new SkeinError('invalid-request', `the generation can not be resumed: ${reason}`);
}
