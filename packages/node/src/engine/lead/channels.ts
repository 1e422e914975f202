import type { Tokenizer } from './tokenizer.ts';

/**
 * Tokens that structure an answer in OpenAI's harmony format, as gpt-oss writes it:
 * `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>`.
 */
export interface ChannelMarks {
  readonly start: number;
  readonly channel: number;
  readonly message: number;
  readonly end: number;
}

/** Finds the marks in a model's vocabulary; undefined where it does not have all of them. */
export function findChannelMarks(tokenizer: Pick<Tokenizer, 'encode'>): ChannelMarks | undefined {
  const [start, channel, message, end] = ['start', 'channel', 'message', 'end'].map((name) => {
    const tokens = tokenizer.encode(`<|${name}|>`, { addSpecial: false, parseSpecial: true });
    return tokens.length === 1 ? tokens[0] : undefined;
  });
  if (start === undefined || channel === undefined || message === undefined || end === undefined) return undefined;
  return { start, channel, message, end };
}

/** Channel of the model's thoughts, which are no part of its answer. */
const hiddenChannel = 'analysis';
/** Longest header of a message, in tokens. A longer text is no header: the model was taught otherwise. */
const maxHeaderTokens = 32;
const betweenMessages = new TextEncoder().encode('\n\n');
const noBytes = new Uint8Array(0);

/**
 * A filter that leaves the model's thoughts, and the headers of its messages, out of an answer. All other text stays,
 * whatever its channel: as long as nobody understands tool calls, they are better shown than lost. Counts of tokens are
 * not affected.
 */
export class ChannelFilter {
  readonly #marks: ChannelMarks;
  /** Text of the header that is being written; undefined inside a message. */
  #header: Uint8Array[] | undefined;
  #isHidden = false;
  #hasShown = false;
  #beginsMessage = false;

  /**
   * @param prompt its end tells where the answer begins: behind `<|start|>assistant` with a header, else inside a
   * message
   */
  constructor(marks: ChannelMarks, prompt: readonly number[]) {
    this.#marks = marks;
    const { start, channel, message, end } = marks;
    const last = prompt.findLast((token) => [start, channel, message, end].includes(token));
    if (last === start || last === channel) this.#header = [];
  }

  /** Returns the bytes to show for a drawn token, given its own. */
  push(token: number, bytes: Uint8Array): Uint8Array {
    switch (token) {
      case this.#marks.start: {
        const rest = this.end();
        this.#header = [];
        return rest;
      }
      case this.#marks.channel:
        // The text before it is the role.
        this.#header = [];
        return noBytes;
      case this.#marks.message:
        this.#beginMessage();
        return noBytes;
      case this.#marks.end:
        return this.end();
      default:
        return this.#header === undefined ? this.#show(bytes) : this.#hold(this.#header, bytes);
    }
  }

  /** Returns the bytes that are left when the generation ends: an unfinished header that is none. */
  end(): Uint8Array {
    const held = this.#header;
    this.#header = undefined;
    this.#isHidden = false;
    return held === undefined ? noBytes : this.#show(Buffer.concat(held));
  }

  #beginMessage(): void {
    const header = Buffer.concat(this.#header ?? []).toString();
    const [channel] = header.trim().split(/\s/);
    this.#header = undefined;
    this.#isHidden = channel === hiddenChannel;
    this.#beginsMessage = !this.#isHidden;
  }

  #hold(header: Uint8Array[], bytes: Uint8Array): Uint8Array {
    header.push(bytes);
    return header.length > maxHeaderTokens ? this.end() : noBytes;
  }

  #show(bytes: Uint8Array): Uint8Array {
    if (this.#isHidden || bytes.byteLength === 0) return noBytes;
    const isAnother = this.#beginsMessage && this.#hasShown;
    this.#beginsMessage = false;
    this.#hasShown = true;
    return isAnother ? Buffer.concat([betweenMessages, bytes]) : bytes;
  }
}
