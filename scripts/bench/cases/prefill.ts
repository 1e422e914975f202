import type { BenchCase } from '../bench-case.ts';
import { complete, ttftMs } from '../completion.ts';
import { startCeiling } from '../processes/engine-child.ts';
import { startMesh } from '../processes/mesh.ts';
import { newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf } from '../statistics.ts';

const promptTokens = 1024;
const contextTokens = 2048;

/** How well the chunks of one long prompt fill two stages. */
export const prefill: BenchCase = {
  summary: 'a prompt of 1,024 tokens through two stages, against the ceiling',
  async run(context) {
    const { signal } = context;
    await using mesh = await startMesh([0, 1], context);
    await using _deployment = await mesh.deploy({ stages: 2, contextTokens, sequences: 1 });
    await using ceiling = await startCeiling({ contextTokens, sequences: 1 }, context);
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
      ratios: { prefill: ratioOf(measured.skein, measured.ceiling) },
      rows: Object.entries(measured).map(([what, speeds]) => ({ what, promptTokensPerSecond: median(speeds) })),
    };
  },
};
