import type { Generation, GenerationResult } from '@skein/client';

/** An answer with its speed as seen from here. */
export interface Measurement extends Omit<GenerationResult, 'timings'> {
  /** Time from the request to the first token's text, in whole milliseconds. */
  readonly ttftMs: number;
  /** Rate of the tokens after the first. 0 when there was one at most. */
  readonly tokensPerSecond: number;
}

/** Follows a generation and measures its speed. Read `text` to its end, then ask for the result. */
export function measured(
  generation: Generation,
  nowMs: () => number = () => performance.now(),
): { readonly text: AsyncIterable<string>; result(): Promise<Measurement> } {
  const askedMs = nowMs();
  let firstMs: number | undefined;
  let lastMs = askedMs;
  async function* text() {
    for await (const delta of generation) {
      lastMs = nowMs();
      firstMs ??= lastMs;
      yield delta.text;
    }
  }
  return {
    text: text(),
    async result() {
      const { timings, ...result } = await generation.result();
      const decodeMs = timings?.decodeMs ?? lastMs - (firstMs ?? lastMs);
      const following = result.usage.completionTokens - 1;
      return {
        ...result,
        ttftMs: Math.round((firstMs ?? lastMs) - askedMs),
        tokensPerSecond: following > 0 && decodeMs > 0 ? Math.round((following / decodeMs) * 100_000) / 100 : 0,
      };
    },
  };
}
