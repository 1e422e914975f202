import type { MicroBatchOfTokens, Pipeline } from './pipeline.ts';

/** Steps of decoding: they go past the sliding windows of the fixtures. */
const defaultDecodeSteps = 32;
/** Lengths of the prompts, in tokens. They differ, so that sequences sit at different positions. */
const promptLengths = [23, 9, 14];

/**
 * Runs the load of a busy replica, with greedy tokens: one prompt alone in two chunks, a second chunk mixed with
 * another sequence's decode row, then all sequences decoding together, past the sliding windows of the fixtures.
 *
 * @returns the logits of every sampled row, in order
 */
export function runWorkload(
  pipeline: Pipeline,
  vocabularySize: number,
  { decodeSteps = defaultDecodeSteps }: { readonly decodeSteps?: number } = {},
): Float32Array[] {
  const prompts = promptLengths.map((length, sequence) =>
    Int32Array.from({ length }, (_, index) => (index * 37 + sequence * 101 + 5) % vocabularySize),
  );
  const [first = new Int32Array(), second = new Int32Array(), third = new Int32Array()] = prompts;
  const logits: Float32Array[] = [];
  const run = (...rows: readonly Rows[]) => {
    const results = pipeline.run(microBatch(rows));
    logits.push(...results);
    return results.map(greatest);
  };

  run({ sequence: 0, position: 0, tokens: first.subarray(0, 16), sample: false });
  const [firstNext = 0] = run({ sequence: 0, position: 16, tokens: first.subarray(16), sample: true });
  const [nextOfFirst = 0, nextOfSecond = 0] = run(
    { sequence: 0, position: first.length, tokens: Int32Array.of(firstNext), sample: true },
    { sequence: 1, position: 0, tokens: second, sample: true },
  );
  const [nextOfThird = 0] = run({ sequence: 2, position: 0, tokens: third, sample: true });

  let tokens = [nextOfFirst, nextOfSecond, nextOfThird];
  const starts = [first.length + 1, second.length, third.length];
  for (let step = 0; step < decodeSteps; step++) {
    const rows = starts.map((start, sequence) => ({
      sequence,
      position: start + step,
      tokens: Int32Array.of(tokens[sequence] ?? 0),
      sample: true,
    }));
    tokens = run(...rows);
  }
  return logits;
}

/** Reads a prompt that fills most of the context, in chunks, and returns the logits after each. */
export function runLongPrompt(pipeline: Pipeline, vocabularySize: number): Float32Array[] {
  const rows = 60;
  return Array.from({ length: 8 }, (_, chunk) => {
    const tokens = Int32Array.from({ length: rows }, (__, index) => ((chunk * rows + index) * 37 + 5) % vocabularySize);
    return pipeline.run(microBatch([{ sequence: 0, position: chunk * rows, tokens, sample: true }]));
  }).flat();
}

interface Rows {
  readonly sequence: number;
  readonly position: number;
  readonly tokens: Int32Array;
  readonly sample: boolean;
}

function microBatch(rows: readonly Rows[]): MicroBatchOfTokens {
  return {
    entries: rows.map(({ sequence, position, tokens, sample }) => ({
      sequence,
      position,
      count: tokens.length,
      sample,
    })),
    tokens: Int32Array.from(rows.flatMap(({ tokens }) => [...tokens])),
  };
}

function greatest(logits: Float32Array): number {
  return logits.reduce((best, value, token) => (value > (logits[best] ?? -Infinity) ? token : best), 0);
}
