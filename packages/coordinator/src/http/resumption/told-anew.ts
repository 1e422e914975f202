import { latestTime, SkeinError, type GenerationInput } from '@skein/protocol';

/**
 * The mark of an answer of one choice: what a coordinator needs to generate it anew, and a digest of its tokens so far.
 */
export class AnswerMark {
  readonly #start: string;
  #low = 0x811c_9dc5;
  #high = 0x6c62_272e;

  constructor({ sampling, askedAt = 0 }: GenerationInput) {
    this.#start = `${sampling.seed.toString(36)}-${askedAt.toString(36)}`;
  }

  /** Adds tokens to the digest: two runs of FNV-1a, of which the second starts elsewhere. */
  add(tokens: readonly number[]): void {
    for (const token of tokens) {
      this.#low = Math.imul(this.#low ^ token, 0x0100_0193);
      this.#high = Math.imul(this.#high ^ token ^ (token >>> 16), 0x0100_0193) + 1;
    }
  }

  get text(): string {
    return `${this.#start}-${(this.#low >>> 0).toString(36)}-${(this.#high >>> 0).toString(36)}`;
  }
}

/** Returns the seed and the time that a mark tells; undefined for text that is no mark. */
export function parseMark(mark: string): { readonly seed: number; readonly askedAt: number } | undefined {
  const [, seedText = '', timeText = ''] =
    /^([a-z0-9]{1,7})-([a-z0-9]{1,11})-[a-z0-9]{1,7}-[a-z0-9]{1,7}$/.exec(mark) ?? [];
  const [seed, askedAt] = [Number.parseInt(seedText, 36), Number.parseInt(timeText, 36)];
  return seed <= 0xffff_ffff && askedAt <= latestTime ? { seed, askedAt } : undefined;
}

/** Makes the error for an answer that can't be continued exactly, since it came out otherwise. */
export function cameOutOtherwise(): SkeinError {
  return new SkeinError(
    'not-found',
    'the coordinator that carried the stream does not any more, and the answer comes out otherwise here, so it can not be continued; send the request again without Last-Event-ID',
  );
}
