import type { BenchCase, CaseContext } from '../bench-case.ts';
import { complete, decodeMsPerToken, withoutSpeculation } from '../completion.ts';
import { startMesh, type BenchMesh, type BenchSpec } from '../processes/mesh.ts';
import { prosePrompts, newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { differenceOf, median, spreadOf } from '../statistics.ts';
import { streamContextTokens, tokensPerStream } from '../streams.ts';

interface Hop {
  readonly msPerToken: number;
  /** Bytes between the two peers, both ways, for each token of prompt and answer. */
  readonly bytesPerToken: number;
}

/**
 * Measures one stream through the whole model against one through two stages, which compute the same one after the
 * other.
 */
export const hop: BenchCase = {
  summary: 'what one more stage adds to the time of a token, and sends for it, with f32 and f16 activations',
  async run(context) {
    await using mesh = await startMesh([0, 1], context);
    const deployed = (spec: BenchSpec) => async (round: number) =>
      await measure(mesh, { spec: { ...spec, contextTokens: streamContextTokens, sequences: 1 }, round, context });
    const measured = await measureRounds(
      {
        whole: deployed({ stages: 1 }),
        'two stages, f32': deployed({ stages: 2, activations: 'f32' }),
        'two stages, f16': deployed({ stages: 2, activations: 'f16' }),
      },
      {
        ...context,
        describe: ({ msPerToken, bytesPerToken }) =>
          `${msPerToken.toFixed(2)} ms and ${bytesPerToken.toFixed(0)} bytes per token`,
      },
    );
    const times = (name: keyof typeof measured) => measured[name].map(({ msPerToken }) => msPerToken);
    const bytes = (name: keyof typeof measured) => measured[name].map(({ bytesPerToken }) => bytesPerToken);
    return {
      ratios: {
        hopMs: differenceOf(times('two stages, f32'), times('whole')),
        hopF16Ms: differenceOf(times('two stages, f16'), times('whole')),
        hopBytes: spreadOf(bytes('two stages, f32')),
        hopF16Bytes: spreadOf(bytes('two stages, f16')),
      },
      rows: (Object.keys(measured) as (keyof typeof measured)[]).map((what) => ({
        what,
        msPerToken: median(times(what)),
        bytesPerToken: median(bytes(what)),
      })),
    };
  },
};

async function measure(
  mesh: BenchMesh,
  options: { readonly spec: BenchSpec; readonly round: number; readonly context: CaseContext },
): Promise<Hop> {
  const { spec, round, context } = options;
  const { model, signal } = context;
  await using _deployment = await mesh.deploy(spec);
  // The first answer pays for page faults and lazily made buffers.
  await complete(withoutSpeculation(mesh.endpoint), { prompt: newTokens(8), maxTokens: 2, signal });
  const [prompt = []] = prosePrompts(model, 1, round);
  const before = await mesh.trafficBytes();
  const answer = await complete(withoutSpeculation(mesh.endpoint), {
    prompt,
    maxTokens: tokensPerStream(model, 1),
    signal,
  });
  const bytes = (await mesh.trafficBytes()) - before;
  return {
    msPerToken: decodeMsPerToken(answer),
    bytesPerToken: bytes / (answer.promptTokens + answer.completionTokens),
  };
}
