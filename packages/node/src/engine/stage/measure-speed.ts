import type { StageSpeed } from '../control.ts';
import type { Stage, StageInput } from './stage.ts';

const decodeRuns = 3;
const prefillRows = 16;

/**
 * Measures a stage that nobody uses yet, in as long as it takes for about two dozen rows, which also pays for page faults
 * and lazily made buffers before the first request does. Leaves the cache empty.
 */
export function measureSpeed(
  stage: Stage,
  options: { hiddenSize: number; layers: number; takesHidden: boolean; isTail: boolean; contextTokens: number },
): StageSpeed {
  const { hiddenSize, layers, takesHidden, isTail, contextTokens } = options;
  const input = (rows: number): StageInput =>
    takesHidden ? { hidden: new Uint8Array(rows * hiddenSize * 4) } : { tokens: new Int32Array(rows) };
  const operations = [{ type: 'remove' as const, sequence: 0, from: 0 }];
  const run = (count: number, sample: boolean): number => {
    const entries = [{ sequence: 0, position: 0, count, sample }];
    const startedAt = performance.now();
    stage.run({ type: 'step', step: 0, operations, entries }, input(count));
    return performance.now() - startedAt;
  };
  const fastest = (sample: boolean): number => Math.min(...Array.from({ length: decodeRuns }, () => run(1, sample)));
  const rows = Math.min(prefillRows, contextTokens);
  // The largest first: buffers grow once, and Mesa's software Vulkan crashes in llama.cpp's fused kernels the other way round.
  run(rows, isTail);
  const layersMs = fastest(false);
  const headMs = isTail ? Math.max(0, fastest(true) - layersMs) : 0;
  const prefillMs = run(rows, false);
  stage.run({ type: 'step', step: 0, operations, entries: [] }, input(0));
  return {
    decodeMsPerLayer: layersMs / layers,
    prefillMsPerTokenPerLayer: prefillMs / rows / layers,
    headMs,
  };
}
