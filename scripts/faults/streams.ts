import { setTimeout as delay } from 'node:timers/promises';

import { seededRandom } from '../fixtures/random.ts';
import type { Client } from './client.ts';
import type { Answer } from './client-messages.ts';
import type { RunRequest } from './requests.ts';

/** An answer, with the client that got it. */
export interface StreamAnswer {
  readonly request: RunRequest;
  readonly way: Client['way'];
  readonly answer: Answer;
}

/** Pause after a refusal, in milliseconds: a client that asked again at once would do nothing else. */
const retryMs = 250;

/** Tells whether a client can ask something: members have one choice. */
export function canAsk({ way }: Pick<Client, 'way'>, { choices }: RunRequest): boolean {
  return way === 'http' || choices === 1;
}

/**
 * Runs streams beside one another, each with one request after the other by one of the clients, until the signal aborts;
 * then each lets its last request come to its end.
 */
export async function runStreams(options: {
  readonly count: number;
  readonly clients: readonly Client[];
  readonly requests: readonly RunRequest[];
  readonly seed: number;
  /** Ends the asking. */
  readonly enough: AbortSignal;
  readonly onAnswer: (answer: StreamAnswer) => void;
}): Promise<void> {
  const { count, clients, requests, seed, enough, onAnswer } = options;
  const run = async (stream: number): Promise<void> => {
    const random = seededRandom(seed * 1000 + stream);
    const client = clients[stream % clients.length];
    if (client === undefined) throw new Error('a run without clients');
    const own = requests.filter((request) => canAsk(client, request));
    while (!enough.aborted) {
      const request = own[Math.floor(random.uniform() * own.length)];
      if (request === undefined) throw new Error('a run without requests');
      const answer = await client.ask(request);
      onAnswer({ request, way: client.way, answer });
      if (answer.end !== 'complete') await delay(retryMs, undefined, { signal: enough }).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: count }, async (_, stream) => await run(stream)));
}

/** Asks again and again until an answer is complete. Throws an error with the failures when the signal aborts before. */
export async function untilAnswered(client: Client, request: RunRequest, signal: AbortSignal): Promise<Answer> {
  const failures = new Set<string>();
  for (;;) {
    const answer = await client.ask(request);
    if (answer.end === 'complete') return answer;
    failures.add(answer.error?.code ?? answer.end);
    await delay(retryMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw new Error(`${request.model} did not answer: ${[...failures].join(', ')}`);
  }
}
