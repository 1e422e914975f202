import { setTimeout as delay } from 'node:timers/promises';

import { complete, type CompletionEndpoint } from '../../bench/completion.ts';

/** Clients that stream all the time, and one that asks again and again, whose waiting is measured. */
export interface NormalClients extends AsyncDisposable {
  /** Returns the times to the first token of requests since the last call, in milliseconds. */
  takeWaits(): readonly number[];
  /** Returns the errors since the last call. */
  takeFailures(): readonly string[];
  /** Number of answers so far. */
  readonly answers: number;
}

const streams = 2;
const streamTokens = 200;
const pauseMs = 60;

/** Starts clients that send ordinary requests. */
export function startNormalClients(endpoint: CompletionEndpoint): NormalClients {
  const over = new AbortController();
  let waits: number[] = [];
  let failures: string[] = [];
  let answers = 0;
  const ask = async (maxTokens: number): Promise<number> => {
    const { startedMs, arrivalsMs } = await complete(endpoint, { prompt: 'once upon', maxTokens, signal: over.signal });
    answers += 1;
    return (arrivalsMs[0] ?? Number.POSITIVE_INFINITY) - startedMs;
  };
  const again = async (act: () => Promise<void>): Promise<void> => {
    while (!over.signal.aborted) {
      await act().catch((error: unknown) => {
        if (!over.signal.aborted) failures.push(error instanceof Error ? error.message : String(error));
      });
      await delay(pauseMs);
    }
  };
  const jobs = [
    again(async () => void waits.push(await ask(4))),
    ...Array.from({ length: streams }, async () => await again(async () => void (await ask(streamTokens)))),
  ];
  return {
    get answers() {
      return answers;
    },
    takeWaits() {
      const taken = waits;
      waits = [];
      return taken;
    },
    takeFailures() {
      const taken = failures;
      failures = [];
      return taken;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await Promise.all(jobs);
    },
  };
}
