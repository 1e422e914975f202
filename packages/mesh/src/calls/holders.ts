import { asSkeinError, machineName, SkeinError, type Card } from '@skein/protocol';

/** Longest quoted reason of one holder, in characters: a message of several must stay readable. */
const reasonCharacters = 200;

/**
 * Peers that hold a model, with their failures. One that fails goes to the end when it was of use before, and out
 * otherwise: a long transfer survives any number of short losses, and no holder is asked in vain twice.
 */
export class Holders {
  readonly #model: string;
  readonly #waiting: string[];
  readonly #reasons = new Map<string, string>();
  /** Cards for names in messages: those of holders that are lost meanwhile are gone. */
  readonly #cards: readonly Card[];

  constructor(model: string, holders: readonly string[], cards: readonly Card[]) {
    this.#model = model;
    this.#waiting = [...holders];
    this.#cards = cards;
  }

  /**
   * Returns the holder to ask next.
   *
   * @throws SkeinError `model-unreachable` with every holder's reason when none is left
   */
  next(): string {
    const holder = this.#waiting.shift();
    if (holder !== undefined) return holder;
    const reasons = [...this.#reasons].map(([holder, reason]) => `${machineName(this.#cards, holder)}: ${reason}`);
    const what = reasons.length === 0 ? 'no peer is known to hold it' : reasons.join('. ');
    throw new SkeinError('model-unreachable', `cannot fetch model ${this.#model} from any peer. ${what}`);
  }

  /**
   * Notes that a holder failed.
   *
   * @param options.wasUseful whether it had sent something of use before
   */
  failed(holder: string, error: unknown, { wasUseful }: { readonly wasUseful: boolean }): void {
    this.#reasons.set(holder, asSkeinError(error).message.slice(0, reasonCharacters));
    if (wasUseful) this.#waiting.push(holder);
  }
}
