import { asSkeinError, machineName, SkeinError, type Card } from '@skein/protocol';

/** Longest reason that is quoted of one holder: a message of several must stay readable. */
const reasonCharacters = 200;

/**
 * Peers that hold a model, and what is known against each. Those that fail go to the end when they were of use before, and out
 * otherwise: a long transfer survives any number of short losses, and nobody is asked in vain twice.
 */
export class Holders {
  readonly #model: string;
  readonly #waiting: string[];
  readonly #reasons = new Map<string, string>();
  /** For messages. Cards of holders that are lost meanwhile are gone. */
  readonly #cards: readonly Card[];

  constructor(model: string, holders: readonly string[], cards: readonly Card[]) {
    this.#model = model;
    this.#waiting = [...holders];
    this.#cards = cards;
  }

  /** The holder to ask next. @throws SkeinError `model-unreachable` with every holder's reason when none is left */
  next(): string {
    const holder = this.#waiting.shift();
    if (holder !== undefined) return holder;
    const reasons = [...this.#reasons].map(([holder, reason]) => `${machineName(this.#cards, holder)}: ${reason}`);
    const what = reasons.length === 0 ? 'no peer is known to hold it' : reasons.join('. ');
    throw new SkeinError('model-unreachable', `cannot fetch model ${this.#model} from any peer. ${what}`);
  }

  /** Notes that a holder failed. `wasUseful`: it got us further before that. */
  failed(holder: string, error: unknown, { wasUseful }: { readonly wasUseful: boolean }): void {
    this.#reasons.set(holder, asSkeinError(error).message.slice(0, reasonCharacters));
    if (wasUseful) this.#waiting.push(holder);
  }
}
