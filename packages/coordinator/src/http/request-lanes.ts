import { Turns } from './turns.ts';

/**
 * The order in which requests are taken. Hundreds that come at once would be answered in one turn of the event loop,
 * which everybody else waits for, so one of each lane is taken a turn. Prompts do not wait behind questions, and
 * requests on a connection that was used before do not wait behind a flood of new connections.
 */
export class RequestLanes {
  readonly #prompts = new Turns();
  readonly #newPrompts = new Turns();
  readonly #questions = new Turns();
  readonly #used = new WeakSet();

  /**
   * Resolves when it is a request's turn.
   *
   * @param connection connection on which it has come
   */
  async next(method: string, connection: object): Promise<void> {
    const isUsed = this.#used.has(connection);
    this.#used.add(connection);
    if (method !== 'POST') await this.#questions.next();
    else await (isUsed ? this.#prompts : this.#newPrompts).next();
  }
}
