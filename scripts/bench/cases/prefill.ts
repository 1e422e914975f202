import type { BenchCase, CaseContext } from '../bench-case.ts';
import { complete, ttftMs } from '../completion.ts';
import { startCeiling, type EngineChild } from '../processes/engine-child.ts';
import { startMesh, type BenchMesh } from '../processes/mesh.ts';
import { newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf } from '../statistics.ts';

const promptTokens = 1024;
const contextTokens = 2048;

/**
 * Measures how well the chunks of one long prompt fill two stages: with an even cut, as `--layers` makes it for long
 * prompts, and with the planner's cut, which allows for a token drawn after most rows.
 */
export const prefill: BenchCase = {
  summary: 'a prompt of 1,024 tokens through two stages, against the ceiling',
  async run(context) {
    await using mesh = await startMesh([0, 1], context);
    await using ceiling = await startCeiling({ contextTokens, sequences: 1 }, context);
    const half = Math.ceil(context.model.layers / 2);
    const even = await measureSplit([half, context.model.layers - half], { mesh, ceiling, context });
    const planned = await measureSplit(undefined, { mesh, ceiling, context });
    return {
      ratios: { prefill: even.ratio, prefillPlanned: planned.ratio },
      rows: [...even.rows, ...planned.rows],
    };
  },
};

interface Measuring {
  readonly mesh: BenchMesh;
  readonly ceiling: EngineChild;
  readonly context: CaseContext;
}

async function measureSplit(layers: readonly number[] | undefined, { mesh, ceiling, context }: Measuring) {
  const { signal } = context;
  const spec = { stages: 2, contextTokens, sequences: 1, ...(layers === undefined ? {} : { layers }) };
  await using deployment = await mesh.deploy(spec);
  const split = deployment.stages.map(({ block }) => block.to - block.from).join(' + ');
  const measured = await measureRounds(
    {
      skein: async () => {
        const answer = await complete(mesh.endpoint, { prompt: newTokens(promptTokens), maxTokens: 1, signal });
        return (answer.promptTokens * 1000) / ttftMs(answer);
      },
      ceiling: async () => await ceiling.run({ type: 'prefill', tokens: promptTokens }),
    },
    { ...context, describe: (speed) => `${speed.toFixed(1)} prompt tok/s` },
  );
  return {
    ratio: ratioOf(measured.skein, measured.ceiling),
    rows: Object.entries(measured).map(([what, speeds]) => ({
      what,
      layers: split,
      promptTokensPerSecond: median(speeds),
    })),
  };
}
