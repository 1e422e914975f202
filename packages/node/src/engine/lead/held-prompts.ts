import type { Sequence } from './sequence.ts';

/** Tokens of a prompt that the cache holds. */
export interface HeldPrompt {
  /** Id of its request. */
  readonly id: string;
  readonly tokens: number;
  /** Tokens that the prompt has. */
  readonly of: number;
  /** Text of the answer, where the cache holds that behind the whole prompt. */
  readonly answer?: string | undefined;
}

/** The prompts that the cache holds since it was told last, and those that it holds no more. An id that it does not hold may be in both. */
export interface PrefixNews {
  readonly held: readonly HeldPrompt[];
  readonly gone: readonly string[];
}

/** Collects how much of which prompts the cache holds, until somebody is told. */
export class HeldPrompts {
  readonly #held = new Map<string, HeldPrompt>();
  readonly #gone = new Set<string>();
  /** Sequences whose prompts are being read. */
  readonly #reading = new Set<Sequence>();

  /** Takes a sequence that has begun, or come back, with so many tokens in the cache. */
  begin(sequence: Sequence, cachedTokens: number): void {
    this.#reading.add(sequence);
    if (cachedTokens > 0) this.#note(sequence, cachedTokens);
  }

  /** Takes a token of a sequence: its prompt was read. */
  read(sequence: Sequence): void {
    if (this.#reading.delete(sequence)) this.#note(sequence, sequence.request.prompt.length);
  }

  /** Takes the end of a sequence, of which so many tokens stay, and its answer, if that is complete. */
  end(sequence: Sequence, keptTokens: number, answer = ''): void {
    this.#reading.delete(sequence);
    const promptTokens = sequence.request.prompt.length;
    if (keptTokens < promptTokens) this.#note(sequence, keptTokens);
    else if (answer !== '') this.#note(sequence, promptTokens, { answer });
  }

  /** Takes requests of whose sequences nothing is in the cache any more. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      this.#held.delete(id);
      this.#gone.add(id);
    }
  }

  /** Returns the news since it was asked last, if any. */
  take(): PrefixNews | undefined {
    if (this.#held.size + this.#gone.size === 0) return undefined;
    const news = { held: [...this.#held.values()], gone: [...this.#gone] };
    this.#held.clear();
    this.#gone.clear();
    return news;
  }

  #note({ request: { id, prompt } }: Sequence, tokens: number, held: Pick<HeldPrompt, 'answer'> = {}): void {
    this.#gone.delete(id);
    this.#held.set(id, { id, tokens: Math.min(tokens, prompt.length), of: prompt.length, ...held });
  }
}
