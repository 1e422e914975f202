import { eventId, type EventPlace } from './last-event-id.ts';

/** The latest events of one stream, numbered from 1. */
export class EventLog {
  readonly #stream: string;
  readonly #mostCharacters: number;
  #events: string[] = [];
  /** Number of the event before the first one that is kept. */
  #forgotten = 0;
  #characters = 0;

  /**
   * @param stream id of the stream
   * @param mostCharacters characters beyond which the oldest events are forgotten
   */
  constructor(stream: string, mostCharacters: number) {
    this.#stream = stream;
    this.#mostCharacters = mostCharacters;
  }

  /** Characters of the events that are kept. */
  get characters(): number {
    return this.#characters;
  }

  /** Number of the last event; 0 before the first. */
  get last(): number {
    return this.#forgotten + this.#events.length;
  }

  /**
   * Adds a formatted event. Returns it as it crosses the wire, with its id.
   *
   * @param mark mark of what the stream has told with it. Default: the id has none
   */
  append(event: string, mark?: string): string {
    const text = `id: ${eventId({ stream: this.#stream, number: this.last + 1, mark })}\n${event}`;
    this.#events.push(text);
    this.#characters += text.length;
    if (this.#characters > this.#mostCharacters) this.#forgetOldest();
    return text;
  }

  /** Forgets the events; later ones keep counting. */
  clear(): void {
    this.#forgotten += this.#events.length;
    this.#events = [];
    this.#characters = 0;
  }

  /**
   * Returns the events behind a number, as they cross the wire; undefined when some of them are forgotten, and for a
   * number that no event has had yet.
   */
  after(number: number): string | undefined {
    if (number < this.#forgotten || number > this.last) return undefined;
    return this.#events.slice(number - this.#forgotten).join('');
  }

  /**
   * Tells whether the event of a place's number is another one, as where another coordinator has told the stream
   * otherwise. False where it is forgotten or has not been yet, and without a mark.
   */
  isOther(place: EventPlace): boolean {
    const text = this.#events[place.number - this.#forgotten - 1];
    return text !== undefined && place.mark !== undefined && !text.startsWith(`id: ${eventId(place)}\n`);
  }

  /** Forgets the older half at once: one by one, each event would cost as much as all that are kept. */
  #forgetOldest(): void {
    let count = 0;
    for (const event of this.#events) {
      if (this.#characters <= this.#mostCharacters / 2) break;
      this.#characters -= event.length;
      count += 1;
    }
    this.#events.splice(0, count);
    this.#forgotten += count;
  }
}
