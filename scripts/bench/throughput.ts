import { complete, type Completion, type CompletionEndpoint, type Prompt } from './completion.ts';

/** Speed of answers that were asked for at once. */
export interface Throughput {
  readonly completionTokens: number;
  /**
   * Tokens a second of all answers together, from the first request to the last token: prompts count, as they do for a
   * user.
   */
  readonly tokensPerSecond: number;
  /** Tokens a second while all answers were being written: no prompt counts. Comparable with one engine in a loop. */
  readonly steadyTokensPerSecond: number;
  /** Number of answers that each lead gave, most first. */
  readonly answersPerLead: readonly number[];
}

type Timed = Pick<Completion, 'completionTokens' | 'lead' | 'startedMs' | 'arrivalsMs'>;

/** Sends all prompts at once, and waits for all answers. */
export async function askAtOnce(
  endpoint: CompletionEndpoint,
  options: { readonly prompts: readonly Prompt[]; readonly maxTokens: number; readonly signal: AbortSignal },
): Promise<Throughput> {
  const { prompts, maxTokens, signal } = options;
  return throughputOf(
    await Promise.all(prompts.map(async (prompt) => await complete(endpoint, { prompt, maxTokens, signal }))),
  );
}

/** Computes the speeds of answers that were asked for at once. */
export function throughputOf(answers: readonly Timed[]): Throughput {
  const completionTokens = answers.reduce((sum, answer) => sum + answer.completionTokens, 0);
  const firstMs = Math.min(...answers.map(({ startedMs }) => startedMs));
  const lastMs = Math.max(...answers.map(({ arrivalsMs }) => arrivalsMs.at(-1) ?? Number.NaN));
  return {
    completionTokens,
    tokensPerSecond: (completionTokens * 1000) / (lastMs - firstMs),
    steadyTokensPerSecond: steadyOf(answers),
    answersPerLead: countEach(answers.map(({ lead }) => lead)),
  };
}

function countEach(leads: readonly (string | undefined)[]): number[] {
  const counts = new Map<string | undefined, number>();
  for (const lead of leads) counts.set(lead, (counts.get(lead) ?? 0) + 1);
  return [...counts.values()].toSorted((a, b) => b - a);
}

/** Computes the speed from the moment at which the last answer began to the one at which the first ended. */
function steadyOf(answers: readonly Timed[]): number {
  const fromMs = Math.max(...answers.map(({ arrivalsMs }) => arrivalsMs[0] ?? Number.NaN));
  const toMs = Math.min(...answers.map(({ arrivalsMs }) => arrivalsMs.at(-1) ?? Number.NaN));
  let tokens = 0;
  for (const { arrivalsMs, completionTokens } of answers) {
    const pieces = arrivalsMs.filter((atMs) => atMs > fromMs && atMs <= toMs).length;
    // A piece is a token but for characters of several tokens, which come whole.
    tokens += (pieces * completionTokens) / arrivalsMs.length;
  }
  return toMs > fromMs ? (tokens * 1000) / (toMs - fromMs) : 0;
}
