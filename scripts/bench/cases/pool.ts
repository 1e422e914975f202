import { withoutSpeculation } from '../completion.ts';
import type { BenchCase } from '../bench-case.ts';
import { streamsText } from '../numbers.ts';
import { startCeiling } from '../processes/engine-child.ts';
import { startMesh } from '../processes/mesh.ts';
import { prosePrompts } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf } from '../statistics.ts';
import { streamContextTokens, tokensPerStream } from '../streams.ts';
import { askAtOnce } from '../throughput.ts';

const cores = [0, 1];
const streams = 8;

/** Measures how well requests are shared over two whole copies of a model. */
export const pool: BenchCase = {
  summary: 'eight streams over two replicas on two peers, against the ceiling',
  async run(context) {
    const { model, signal } = context;
    await using mesh = await startMesh(cores, context);
    const spec = { stages: 1, contextTokens: streams * streamContextTokens, sequences: streams };
    await using first = await mesh.deploy(spec);
    await using second = await mesh.deploy(spec);
    const daemons = new Set([...first.stages, ...second.stages].map(({ pid }) => pid));
    if (daemons.size !== cores.length) throw new Error('both replicas were put on one peer');
    const sequences = streams / cores.length;
    const contextTokens = sequences * streamContextTokens;
    await using ceiling = await startCeiling({ contextTokens, sequences }, context);
    const tokens = tokensPerStream(model, streams);
    const measured = await measureRounds(
      {
        skein: async (round: number) => {
          const prompts = prosePrompts(model, streams, round);
          const answers = await askAtOnce(withoutSpeculation(mesh.endpoint), { prompts, maxTokens: tokens, signal });
          return { speed: answers.steadyTokensPerSecond, shared: answers.answersPerLead };
        },
        ceiling: async () => {
          const speed = await ceiling.run({ type: 'decode', sequences, promptTokens: 16, tokens });
          return { speed, shared: [sequences, sequences] };
        },
      },
      {
        ...context,
        describe: ({ speed, shared }) => `${streamsText(streams)} (${shared.join(' + ')}), ${speed.toFixed(1)} tok/s`,
      },
    );
    const speedsOf = (what: keyof typeof measured) => measured[what].map(({ speed }) => speed);
    return {
      ratios: { [`pool${streams}`]: ratioOf(speedsOf('skein'), speedsOf('ceiling')) },
      rows: (['skein', 'ceiling'] as const).map((what) => ({
        what,
        streams,
        steadyTokensPerSecond: median(speedsOf(what)),
        shared: measured[what].map(({ shared }) => shared.join(' + ')).join(', '),
      })),
    };
  },
};
