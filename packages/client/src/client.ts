import { Watchdog } from '@skein/mesh';

import type { Deadlines } from './generation/deadlines.ts';
import { Generation } from './generation/generation.ts';
import { fromChat, fromCompletion, type ChatRequest, type CompletionRequest } from './generation/request.ts';
import type { ServedModel, Transport } from './transport.ts';

export interface CallOptions {
  /** Ends the call with `aborted`, here and upstream, when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** A client of the models of one mesh. Close it when done: over the mesh it is a member until then. */
export interface SkeinClient extends AsyncDisposable {
  /** Continues a conversation. */
  chat(request: ChatRequest, options?: CallOptions): Generation;
  /** Continues raw text or tokens. */
  complete(request: CompletionRequest, options?: CallOptions): Generation;
  /**
   * Lists the models that can be asked; over the mesh the deployed ones alone. Waits for at most `connectMs`.
   *
   * @throws SkeinError `deadline-exceeded` when no answer comes in time
   */
  models(options?: CallOptions): Promise<readonly ServedModel[]>;
  /** Cancels what is running and leaves. Idempotent. */
  close(): Promise<void>;
}

/** Makes a client over any transport, which it owns from now on. */
export function createClient(transport: Transport, deadlines: Deadlines): SkeinClient {
  const closed = new AbortController();
  const until = (signal: AbortSignal | undefined) =>
    signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);

  const close = async () => {
    closed.abort();
    await transport.close();
  };
  return {
    chat: (request, { signal } = {}) =>
      new Generation((inner) => transport.generate(fromChat(request), { signal: inner }), {
        deadlines,
        signal: until(signal),
      }),
    complete: (request, { signal } = {}) =>
      new Generation((inner) => transport.generate(fromCompletion(request), { signal: inner }), {
        deadlines,
        signal: until(signal),
      }),
    models: async ({ signal } = {}) => {
      using watchdog = new Watchdog(until(signal));
      watchdog.expect(deadlines.connectMs, 'the coordinator did not answer');
      try {
        return await transport.models({ signal: watchdog.signal });
      } catch (error) {
        throw watchdog.explain(error);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
