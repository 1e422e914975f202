import type { GenerationUpdate, Route } from '@skein/serving';

export type GenerationEnd = Extract<GenerationUpdate, { type: 'generation-end' }>;

/** What an answer reports beside its text. `lead` and the timings are Skein's own. */
export interface Completion extends Route {
  readonly end: GenerationEnd;
}

/**
 * All choices of one request together: the prompt counts once, what was generated adds up. Deployment and lead are those of
 * the first.
 */
export function combine(completions: readonly Completion[]): Completion {
  return completions.reduce((all, one) => ({ ...all, end: combineEnds(all.end, one.end) }));
}

function combineEnds(all: GenerationEnd, one: GenerationEnd): GenerationEnd {
  return {
    ...all,
    usage: {
      ...all.usage,
      completionTokens: all.usage.completionTokens + one.usage.completionTokens,
      ...sumOf('draftedTokens', [all, one]),
      ...sumOf('acceptedTokens', [all, one]),
    },
    timings: { ...all.timings, decodeMs: Math.max(all.timings.decodeMs, one.timings.decodeMs) },
  };
}

/** The sum of a count that not every lead tells. */
function sumOf(
  key: 'draftedTokens' | 'acceptedTokens',
  ends: readonly GenerationEnd[],
): Partial<GenerationEnd['usage']> {
  const counts = ends.map(({ usage }) => usage[key]).filter((count) => count !== undefined);
  return counts.length === 0 ? {} : { [key]: counts.reduce((sum, count) => sum + count, 0) };
}
