import type { Answer, Choice, Pause } from './client-messages.ts';

/** An answer as it comes. */
export class AnswerRecord {
  readonly #choices: { tokens: number[]; text: string; finishReason: string | undefined }[];
  #usage: Answer['usage'];
  #pause: Pause | undefined;
  #lastMs: number | undefined;

  constructor(choices: number) {
    this.#choices = Array.from({ length: choices }, () => ({ tokens: [], text: '', finishReason: undefined }));
  }

  add(index: number, text: string, tokens: readonly number[]): void {
    const choice = this.#choices[index];
    if (choice === undefined) throw new RangeError(`nobody asked for choice ${index}`);
    const nowMs = performance.now();
    const ms = nowMs - (this.#lastMs ?? nowMs);
    if (ms > (this.#pause?.ms ?? 0)) {
      this.#pause = { ms, endedAt: Date.now(), tokens: this.#choices.map(({ tokens: before }) => before.length) };
    }
    this.#lastMs = nowMs;
    choice.tokens.push(...tokens);
    choice.text += text;
  }

  finish(index: number, reason: string): void {
    const choice = this.#choices[index];
    if (choice !== undefined) choice.finishReason = reason;
  }

  set usage(usage: NonNullable<Answer['usage']>) {
    this.#usage = usage;
  }

  get choices(): readonly Choice[] {
    return this.#choices;
  }

  ended(end: Answer['end'], error?: Answer['error']): Answer {
    return {
      choices: this.#choices,
      end,
      ...(error !== undefined && { error }),
      ...(this.#usage !== undefined && { usage: this.#usage }),
      ...(this.#pause !== undefined && { pause: this.#pause }),
    };
  }
}
