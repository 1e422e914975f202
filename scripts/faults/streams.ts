import { setTimeout as delay } from 'node:timers/promises';

import { seededRandom } from '../fixtures/random.ts';
import { drawRequest, type RunModel } from './models.ts';
import { ask, type Outcome } from './request.ts';

/** The end of one request of a stream. */
export type StreamOutcome = Outcome & { readonly model: string; readonly stream: number };

/** Pause after a refusal, in milliseconds: a client that asked again at once would do nothing else. */
const retryMs = 250;

/**
 * Runs clients beside one another, each with one request after the other to one of the models, until the signal aborts;
 * then each lets its last request come to its end.
 */
export async function runStreams(options: {
  readonly count: number;
  readonly url: string;
  readonly models: readonly RunModel[];
  readonly seed: number;
  /** Tokens of an answer. */
  readonly leastTokens: number;
  readonly mostTokens: number;
  /** Ends the asking. */
  readonly enough: AbortSignal;
  /** Ends what is asked, too. */
  readonly signal: AbortSignal;
  readonly onOutcome: (outcome: StreamOutcome) => void;
}): Promise<void> {
  const { count, url, models, seed, leastTokens, mostTokens, enough, signal, onOutcome } = options;
  const run = async (stream: number): Promise<void> => {
    const random = seededRandom(seed * 1000 + stream);
    const model = models[stream % models.length];
    if (model === undefined) throw new Error('a run without models');
    while (!enough.aborted && !signal.aborted) {
      const maxTokens = leastTokens + Math.floor(random.uniform() * (mostTokens - leastTokens));
      const outcome = await ask(url, drawRequest(model, random, maxTokens), signal);
      onOutcome({ ...outcome, model: model.name, stream });
      if (outcome.kind !== 'answered') await delay(retryMs, undefined, { signal: enough }).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: count }, async (_, stream) => await run(stream)));
}

/**
 * Asks for a few tokens again and again until they come. Resolves with the end of each try, the last one being the
 * answer.
 */
export async function untilAnswered(
  url: string,
  { model, seed, signal }: { readonly model: RunModel; readonly seed: number; readonly signal: AbortSignal },
): Promise<readonly Outcome[]> {
  const random = seededRandom(seed);
  const outcomes: Outcome[] = [];
  for (;;) {
    const outcome = await ask(url, drawRequest(model, random, 8), signal);
    outcomes.push(outcome);
    if (outcome.kind === 'answered' || signal.aborted) return outcomes;
    await delay(retryMs, undefined, { signal }).catch(() => undefined);
  }
}
