import type { Route } from './route.ts';

/** A session's last request. */
interface Last extends Route {
  /** Tokens of its prompt: its replica has them in its cache, most likely. */
  readonly tokens: number;
}

/** Most sessions that are remembered, those used longest ago go first. */
const maxSessions = 10_000;

/**
 * The replicas that sessions were last at. A session stays at its replica as a conversation stays where its beginning is
 * cached: until it costs more to wait there than to read everything anew elsewhere.
 */
export class Sessions {
  readonly #last = new Map<string, Last>();

  /** Returns a session's last request. */
  last(session: string): Last | undefined {
    return this.#last.get(session);
  }

  note(session: string, last: Last): void {
    this.#last.delete(session);
    this.#last.set(session, last);
    if (this.#last.size <= maxSessions) return;
    for (const oldest of this.#last.keys()) {
      this.#last.delete(oldest);
      return;
    }
  }
}
