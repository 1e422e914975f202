import { fileURLToPath } from 'node:url';

import type { LanHost } from '../lan/host.ts';
import { JsonLines } from '../lan/json-lines.ts';
import type { Access, Answer, ClientCommand, ClientMessage } from './client-messages.ts';
import type { RunRequest } from './requests.ts';

const script = fileURLToPath(new URL('./client-process.ts', import.meta.url));

type Told = Exclude<ClientMessage, { ready: true }>;
type Command = ClientCommand extends infer One ? (One extends unknown ? Omit<One, 'number'> : never) : never;

/** A client in a host, in a process of its own that ends with the LAN. */
export class Client {
  readonly way: Access['way'];
  readonly #lines: JsonLines<ClientMessage>;
  readonly #waiting = new Map<number, (told: Told) => void>();
  #commands = 0;

  static async start(host: LanHost, access: Access, signal: AbortSignal): Promise<Client> {
    const lines = new JsonLines<ClientMessage>(host.run(process.execPath, [script, JSON.stringify(access)]));
    await lines.until((message) => 'ready' in message, { signal });
    return new Client(access.way, lines, signal);
  }

  private constructor(way: Access['way'], lines: JsonLines<ClientMessage>, signal: AbortSignal) {
    this.way = way;
    this.#lines = lines;
    void this.#listen(signal);
  }

  /** Asks, and returns the answer when it has ended, in whatever way. */
  async ask(request: RunRequest): Promise<Answer> {
    const told = await this.#tell({ do: 'ask', request });
    if ('answer' in told) return told.answer;
    throw new Error('failure' in told ? told.failure : 'a client answered another question');
  }

  /** Has a lead go on behind tokens. Returns those that follow. Throws an error with the failure. */
  async replay(request: RunRequest, tokens: readonly number[]): Promise<readonly number[]> {
    const told = await this.#tell({ do: 'replay', request, tokens });
    if ('tokens' in told) return told.tokens;
    throw new Error('failure' in told ? told.failure : 'a client answered another question');
  }

  async #tell(command: Command): Promise<Told> {
    const number = (this.#commands += 1);
    const { promise, resolve } = Promise.withResolvers<Told>();
    this.#waiting.set(number, resolve);
    this.#lines.send({ number, ...command });
    return await promise;
  }

  /** Hands each line to the one who waits for it. When the process ends, all who wait hear that. */
  async #listen(signal: AbortSignal): Promise<void> {
    let failure: string;
    try {
      for (let next = 1; ; next += 1) {
        const told = await this.#lines.until(() => true, { signal, from: next });
        if ('ready' in told) continue;
        this.#waiting.get(told.number)?.(told);
        this.#waiting.delete(told.number);
      }
    } catch (error) {
      failure = String(error);
    }
    for (const [number, resolve] of this.#waiting) resolve({ number, failure });
  }
}
