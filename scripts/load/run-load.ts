import { mkdtempDisposable, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { tinyModelFile } from '../cluster/models.ts';
import { summarize, type Summary } from '../detection/summary.ts';
import { seededRandom, type Random } from '../fixtures/random.ts';
import { LoadClient, type LoadOutcome, type LoadQuestion, type LoadRequest } from './load-client.ts';
import { startLoadMesh } from './load-mesh.ts';
import { trackMemory, type MemoryTrack } from './memory-track.ts';

export interface LoadOptions {
  readonly requests: number;
  readonly connections: number;
  /** Answers at once of each of the two replicas. */
  readonly sequences: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Called when so many requests are over. */
  readonly onProgress?: (over: number) => void;
}

export interface LoadReport {
  readonly requests: number;
  readonly connections: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly answered: number;
  /** Numbers of requests that were lost, by what became of them: wrong texts, statuses, broken connections. */
  readonly lost: Readonly<Record<string, number>>;
  /** Refusals with a time to come again; those requests came again, and count as answered or lost. */
  readonly refusals: number;
  /** Refusals by the coordinator's admission, as it counts them. */
  readonly refusedByAdmission: number;
  /** Times of answers, in milliseconds. */
  readonly answerMs: Summary;
  readonly memory: Readonly<Record<string, MemoryTrack>>;
}

/** Number of different questions. */
const questions = 100;
const mostAnswerTokens = 8;

/**
 * Asks two replicas of a tiny model many short questions over as many connections as are wanted, each of which asks the
 * next one as soon as it has an answer. Checks every text. Linux only.
 */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { requests, connections, sequences, seed, signal, onProgress } = options;
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-load-'));
  const directory = await realpath(temporary.path);
  await using model = await tinyModelFile();
  const { path } = model;
  const name = basename(path, '.gguf');
  await using mesh = await startLoadMesh({ directory, path, model: name, sequences, signal });
  const random = seededRandom(seed);
  const known = await answersTo(drawQuestions(name, random), mesh.url, signal);
  const over = new AbortController();
  const outcomes: LoadOutcome[] = [];
  let left = requests;
  const startedMs = performance.now();
  const askAll = async (): Promise<void> => {
    using client = new LoadClient(mesh.url);
    while (left > 0) {
      left -= 1;
      outcomes.push(await client.ask(draw(known, random), signal));
      onProgress?.(outcomes.length);
    }
  };
  const asking = Promise.all(Array.from({ length: connections }, askAll)).finally(() => over.abort());
  const [memory] = await Promise.all([trackMemory(mesh.processes, over.signal), asking]);
  const seconds = (performance.now() - startedMs) / 1000;
  const { admission = [] } = await mesh.status();
  const failures = outcomes.map(({ failure }) => failure).filter((failure) => failure !== undefined);
  return {
    requests,
    connections,
    seconds,
    requestsPerSecond: requests / seconds,
    answered: outcomes.length - failures.length,
    lost: Object.fromEntries(
      Map.groupBy(failures, (failure) => failure)
        .entries()
        .map(([name, all]) => [name, all.length]),
    ),
    refusals: outcomes.reduce((sum, { refusals }) => sum + refusals, 0),
    refusedByAdmission: admission.reduce((sum, { refused }) => sum + refused, 0),
    answerMs: summarize(outcomes.map(({ durationMs }) => durationMs)),
    memory,
  };
}

function drawQuestions(model: string, random: Random): readonly LoadQuestion[] {
  return Array.from({ length: questions }, (_, number) => {
    const digits = Array.from({ length: 1 + Math.floor(random.uniform() * 4) }, () => random.uniform().toFixed(6));
    const maxTokens = 1 + Math.floor(random.uniform() * mostAnswerTokens);
    return { model, prompt: `Question ${number}: ${digits.join(' ')}`, maxTokens };
  });
}

/** Asks each question while nothing else is asked: on a CPU the same short text comes however busy the machine is. */
async function answersTo(
  asked: readonly LoadQuestion[],
  url: string,
  signal: AbortSignal,
): Promise<readonly LoadRequest[]> {
  using client = new LoadClient(url);
  const known: LoadRequest[] = [];
  for (const question of asked) known.push({ ...question, expected: await client.answerTo(question, signal) });
  return known;
}

function draw(known: readonly LoadRequest[], random: Random): LoadRequest & { readonly stream: boolean } {
  const request = known[Math.floor(random.uniform() * known.length)];
  if (request === undefined) throw new RangeError('there are no questions');
  return { ...request, stream: random.uniform() < 0.5 };
}

/** Growth of a process's memory over the last three fifths of a run that counts as flat. */
const flatFactor = 1.15;
const flatSlackBytes = 16 * 1024 * 1024;

/** Lists the results of a run that must not be, in words. */
export function failuresOf({ lost, refusals, refusedByAdmission, memory }: LoadReport): readonly string[] {
  const grown = Object.entries(memory).filter(
    ([, { earlyBytes, lateBytes }]) => lateBytes > earlyBytes * flatFactor + flatSlackBytes,
  );
  return [
    ...Object.entries(lost).map(([name, count]) => `${count} requests were lost: ${name}`),
    ...(refusals === refusedByAdmission ? [] : [`${refusals} refusals, ${refusedByAdmission} of them by admission`]),
    ...grown.map(([name]) => `the memory of the ${name} grew`),
  ];
}
