import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { JsonLines } from '../lan/json-lines.ts';
import type { Bulk, MemberCommand, MemberMessage, MemberSettings } from './messages.ts';

const script = fileURLToPath(new URL('./member.ts', import.meta.url));
const defaults = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  peers: [],
  mdns: false,
  liveness: 'lan',
  holdsAuthority: false,
} as const;

/** A function that starts a program; that of a test host does so there. */
export type Run = (command: string, commandLine: readonly string[]) => ChildProcessWithoutNullStreams;

const runHere: Run = (command, commandLine) => {
  const child = spawn(command, commandLine);
  child.stdin.on('error', () => undefined);
  return child;
};

/** A mesh member in a process of its own, with its messages. Disposing kills it. */
export class MemberProcess implements Disposable {
  readonly peerId: string;
  readonly #lines: JsonLines<MemberMessage>;

  /** Starts the process, by default on this machine's loopback interface. The member itself waits for {@link start}. */
  static async create(
    settings: Pick<MemberSettings, 'meshKey'> & Partial<MemberSettings>,
    { signal, run = runHere }: { readonly signal: AbortSignal; readonly run?: Run },
  ): Promise<MemberProcess> {
    const child = run(process.execPath, [script, JSON.stringify({ ...defaults, ...settings })]);
    const lines = new JsonLines<MemberMessage>(child);
    try {
      const ready = await lines.until(({ type }) => type === 'ready', { signal });
      return new MemberProcess(lines, ready.type === 'ready' ? ready.peer : '');
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  private constructor(lines: JsonLines<MemberMessage>, peerId: string) {
    this.#lines = lines;
    this.peerId = peerId;
  }

  /** All its messages so far. */
  get messages(): readonly MemberMessage[] {
    return this.#lines.messages;
  }

  tell(command: MemberCommand): void {
    this.#lines.send(command);
  }

  /** Starts the member; resolves with the addresses at which others can dial it. */
  async start(signal: AbortSignal): Promise<readonly string[]> {
    this.tell({ do: 'start' });
    const started = await this.until('started', { signal });
    return started.type === 'started' ? started.addresses : [];
  }

  /** Sends bytes to another member. Resolves when that has them; throws the failure. */
  async send(bulk: Bulk, signal: AbortSignal): Promise<void> {
    const { peer, method } = bulk;
    const from = this.messages.length;
    this.tell({ do: 'send', ...bulk });
    const isIt = (message: MemberMessage) =>
      message.type === 'sent' && message.peer === peer && message.method === method;
    await this.#until(isIt, { signal, from });
  }

  /**
   * Waits for a message of a type, about a member when one is named, from number `from` of {@link messages} on
   * (default: the first). Throws the member's failure, and the signal's reason.
   */
  async until(
    type: MemberMessage['type'],
    options: { readonly signal: AbortSignal; readonly peer?: string; readonly from?: number },
  ): Promise<MemberMessage> {
    const { peer, ...bounds } = options;
    const isAbout = (message: MemberMessage) => peer === undefined || ('peer' in message && message.peer === peer);
    return await this.#until((message) => message.type === type && isAbout(message), bounds);
  }

  /** Waits until the card of another member has these addresses. Throws the member's failure, and the signal's reason. */
  async untilAddresses(
    peer: string,
    addresses: readonly string[],
    bounds: { readonly signal: AbortSignal; readonly from?: number },
  ): Promise<void> {
    const isIt = (message: MemberMessage) =>
      message.type === 'addresses' && message.peer === peer && message.addresses.join() === addresses.join();
    await this.#until(isIt, bounds);
  }

  /** Members whose cards went, or that it declared dead. */
  get lost(): readonly string[] {
    return this.messages.flatMap((message) =>
      message.type === 'gone' || message.type === 'declared-dead' ? [message.peer] : [],
    );
  }

  /** Sends its process a signal: it can be stopped, continued and killed. */
  signal(name: NodeJS.Signals): void {
    this.#lines.child.kill(name);
  }

  [Symbol.dispose](): void {
    this.signal('SIGKILL');
  }

  async #until(
    isIt: (message: MemberMessage) => boolean,
    bounds: { readonly signal: AbortSignal; readonly from?: number },
  ): Promise<MemberMessage> {
    const found = await this.#lines.until((message) => message.type === 'failed' || isIt(message), bounds);
    if (found.type === 'failed') throw new Error(found.reason);
    return found;
  }
}
