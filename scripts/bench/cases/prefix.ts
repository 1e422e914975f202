import type { BenchCase } from '../bench-case.ts';
import { complete, ttftMs } from '../completion.ts';
import { startMesh } from '../processes/mesh.ts';
import { moveToCores } from '../processes/own-cores.ts';
import { newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf } from '../statistics.ts';

const prefixTokens = 1000;
const lastTokens = 16;

/** Measures the time that a prompt saves when a peer has seen its beginning before. */
export const prefix: BenchCase = {
  summary: 'the time to the first token of a prompt whose first 1,000 tokens were there before, against the first time',
  async run(context) {
    const { signal } = context;
    await moveToCores([1]);
    await using mesh = await startMesh([0], context);
    await using _deployment = await mesh.deploy({ contextTokens: 4096, sequences: 2 });
    const wait = async (prompt: readonly number[]) =>
      ttftMs(await complete(mesh.endpoint, { prompt, maxTokens: 1, signal }));
    const { both } = await measureRounds(
      {
        both: async () => {
          const shared = newTokens(prefixTokens);
          const firstMs = await wait([...shared, ...newTokens(lastTokens)]);
          return { firstMs, againMs: await wait([...shared, ...newTokens(lastTokens)]) };
        },
      },
      {
        ...context,
        describe: ({ firstMs, againMs }) => `TTFT ${firstMs.toFixed(0)} ms, then ${againMs.toFixed(0)} ms`,
      },
    );
    const [first, again] = [both.map(({ firstMs }) => firstMs), both.map(({ againMs }) => againMs)];
    return {
      ratios: { prefix: ratioOf(again, first) },
      rows: [{ what: `TTFT of ${prefixTokens + lastTokens} tokens`, firstMs: median(first), againMs: median(again) }],
    };
  },
};
