import type { Schedule } from '../../timers.ts';
import { EventLog } from './event-log.ts';
import type { EventPlace } from './last-event-id.ts';

/** Bounds of what is kept of streams. */
export interface KeptStreamLimits {
  /** Time for which a stream can be continued after its connection ended, in milliseconds. */
  readonly keptMs: number;
  readonly streams: number;
  /** Characters of one stream's events, and of all events and requests together: up to two bytes each. */
  readonly streamCharacters: number;
  readonly characters: number;
}

export const keptStreamLimits: KeptStreamLimits = {
  keptMs: 120_000,
  // As many as the server has connections.
  streams: 4096,
  // More than sockets hold of it on the way; about 4,000 tokens.
  streamCharacters: 1024 * 1024,
  characters: 32 * 1024 * 1024,
};

/** A connection that carries a stream. */
export interface Connection {
  /** Ends the connection, as if its client had gone away. */
  cut(): void;
}

/** A stream of events that a client can continue on another connection. `Answer` is the state of what it tells. */
export interface KeptStream<Answer> {
  readonly id: string;
  readonly answer: Answer;
  /** Number of the last event; 0 before the first. */
  readonly last: number;
  /** Appends a formatted event and returns it with its id, which has the mark, if any. */
  append(event: string, mark?: string): string;
  /**
   * Cuts the connection that carries the stream, if any, waits until nothing is added there any more, and has the new
   * one carry it. Returns the function to call when that one is over.
   */
  take(connection: Connection): Promise<() => void>;
  /** Returns the events behind a number; undefined when they are not there. */
  after(number: number): string | undefined;
  /** Tells whether the event of a place's number is known to be another one, since another coordinator sent other tokens. */
  isOther(place: EventPlace): boolean;
}

interface Entry<Answer> {
  readonly stream: KeptStream<Answer>;
  readonly principal: string;
  readonly log: EventLog;
  /** Characters of the request. */
  readonly requestCharacters: number;
  carrier: { readonly connection: Connection; readonly over: Promise<void> } | undefined;
  expiry: Disposable | undefined;
}

/**
 * The streams that clients can continue: those that run, and for a while those whose connection has ended. Memory is
 * bounded: what does not fit is forgotten, streams without a connection first, and the oldest first.
 */
export class KeptStreams<Answer> {
  readonly #schedule: Schedule;
  readonly #limits: KeptStreamLimits;
  /** In the order in which they began. */
  readonly #entries = new Map<string, Entry<Answer>>();
  #characters = 0;

  constructor(options: { readonly schedule: Schedule; readonly limits?: KeptStreamLimits }) {
    this.#schedule = options.schedule;
    this.#limits = options.limits ?? keptStreamLimits;
  }

  /** Characters of all that is kept. */
  get characters(): number {
    return this.#characters;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Tells whether there is a stream with an id, whoever's. */
  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** Keeps a new stream of a principal, which alone can continue it. */
  keep(
    id: string,
    options: { readonly principal: string; readonly answer: Answer; readonly requestCharacters: number },
  ): KeptStream<Answer> {
    const { principal, answer, requestCharacters } = options;
    const log = new EventLog(id, this.#limits.streamCharacters);
    const stream: KeptStream<Answer> = {
      id,
      answer,
      get last() {
        return log.last;
      },
      append: (event, mark) => this.#append(entry, event, mark),
      take: async (connection) => await this.#take(entry, connection),
      after: (number) => log.after(number),
      isOther: (place) => log.isOther(place),
    };
    const entry: Entry<Answer> = { stream, principal, log, requestCharacters, carrier: undefined, expiry: undefined };
    this.#entries.set(id, entry);
    this.#characters += requestCharacters;
    this.#makeRoom(entry);
    return stream;
  }

  /** Returns the stream with an id; undefined when there is none, or it is another principal's. */
  find(id: string, principal: string): KeptStream<Answer> | undefined {
    const entry = this.#entries.get(id);
    return entry?.principal === principal ? entry.stream : undefined;
  }

  #append(entry: Entry<Answer>, event: string, mark: string | undefined): string {
    const before = entry.log.characters;
    const text = entry.log.append(event, mark);
    if (!this.#isKept(entry)) entry.log.clear();
    else {
      this.#characters += entry.log.characters - before;
      this.#makeRoom(entry);
    }
    return text;
  }

  async #take(entry: Entry<Answer>, connection: Connection): Promise<() => void> {
    while (entry.carrier !== undefined) {
      entry.carrier.connection.cut();
      await entry.carrier.over;
    }
    entry.expiry?.[Symbol.dispose]();
    const over = Promise.withResolvers<void>();
    entry.carrier = { connection, over: over.promise };
    return () => {
      entry.carrier = undefined;
      over.resolve();
      // Nobody has an id of a stream without events.
      if (entry.log.last === 0) this.#forget(entry);
      if (this.#isKept(entry)) entry.expiry = this.#schedule(this.#limits.keptMs, () => this.#forget(entry));
    };
  }

  /** Forgets others until all fits, and at last this one. */
  #makeRoom(newest: Entry<Answer>): void {
    while (this.#characters > this.#limits.characters || this.#entries.size > this.#limits.streams) {
      const others = this.#entries.values().filter((entry) => entry !== newest);
      let oldest: Entry<Answer> | undefined;
      for (const entry of others) {
        oldest ??= entry;
        if (entry.carrier !== undefined) continue;
        oldest = entry;
        break;
      }
      this.#forget(oldest ?? newest);
    }
  }

  #forget(entry: Entry<Answer>): void {
    if (!this.#isKept(entry)) return;
    this.#entries.delete(entry.stream.id);
    this.#characters -= entry.requestCharacters + entry.log.characters;
    entry.log.clear();
    entry.expiry?.[Symbol.dispose]();
  }

  #isKept(entry: Entry<Answer>): boolean {
    return this.#entries.get(entry.stream.id) === entry;
  }
}
