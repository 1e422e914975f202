import { invariant } from '@skein/protocol';

import type { StageSpeed } from '../control.ts';
import type { CacheSweep } from './cache-sweep.ts';
import type { Stage, StageInput } from './stage.ts';

const decodeRuns = 5;
/** Rows of the micro-batch that prefill is measured with, where the context has room for them. */
export const prefillRows = 16;
/** Rows of the steps that are timed for {@link MeasuredStage.stepCosts}, beside one row. */
const stepRows = [16, 8, 4];

export interface MeasureOptions {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly takesHidden: boolean;
  readonly isTail: boolean;
  /** Whether to measure {@link MeasuredStage.stepCosts}: only the lead decides how many rows a step has. */
  readonly isLead: boolean;
  readonly contextTokens: number;
  /** Puts other things into the caches of the processor, as what runs between two steps does. */
  readonly caches: Pick<CacheSweep, 'sweep'>;
}

export interface MeasuredStage {
  readonly speed: StageSpeed;
  /**
   * Durations of steps of some sizes, with a token drawn after each row. On a stage that is not the lead, of one row
   * only.
   */
  readonly stepCosts: readonly { readonly rows: number; readonly ms: number }[];
}

/**
 * Measures a stage that nobody uses yet. Takes as long as some three dozen rows, on the lead five dozen, and pays for
 * page faults and lazily made buffers before the first request would. Leaves the KV cache empty.
 *
 * One row is timed with weights that come from main memory, as they do while it serves, and the middle one of some times
 * counts: the fastest is one that the next thousand steps do not reach.
 */
export function measureSpeed(stage: Stage, options: MeasureOptions): MeasuredStage {
  const { hiddenSize, layers, takesHidden, isTail, isLead, contextTokens, caches } = options;
  const input = (rows: number): StageInput =>
    takesHidden ? { hidden: new Uint8Array(rows * hiddenSize * 4) } : { tokens: new Int32Array(rows) };
  const operations = [{ type: 'remove' as const, sequence: 0, from: 0 }];
  const run = (count: number, sample: boolean): number => {
    const draft = sample && count > 1 ? { draft: Array.from({ length: count - 1 }, () => 0) } : {};
    const entries = [{ sequence: 0, position: 0, count, sample, ...draft }];
    const startedAt = performance.now();
    stage.run({ type: 'step', step: 0, operations, entries }, input(count));
    return performance.now() - startedAt;
  };
  const typical = (sample: boolean): number =>
    middleOf(
      Array.from({ length: decodeRuns }, () => {
        caches.sweep();
        return run(1, sample);
      }),
    );
  const rows = Math.min(prefillRows, contextTokens);
  // The largest first: buffers grow once, and Mesa's software Vulkan crashes in llama.cpp's fused kernels the other way round.
  run(rows, isTail);
  const prefillMs = run(rows, false);
  const sizes = isLead ? stepRows.filter((size) => size <= rows) : [];
  const stepCosts = sizes.map((size) => ({ rows: size, ms: run(size, isTail) }));
  const layersMs = typical(false);
  const oneRowMs = isTail ? typical(true) : layersMs;
  stage.run({ type: 'step', step: 0, operations, entries: [] }, input(0));
  return {
    speed: {
      decodeMsPerLayer: layersMs / layers,
      prefillMsPerTokenPerLayer: prefillMs / rows / layers,
      headMs: Math.max(0, oneRowMs - layersMs),
    },
    stepCosts: [{ rows: 1, ms: oneRowMs }, ...stepCosts],
  };
}

function middleOf(times: readonly number[]): number {
  return invariant(times.toSorted((one, other) => one - other)[times.length >> 1], 'something was timed');
}
