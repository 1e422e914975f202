import type { BenchCase, CaseContext, Row } from '../bench-case.ts';
import { withoutSpeculation, type CompletionEndpoint } from '../completion.ts';
import { streamsText } from '../numbers.ts';
import { startCeiling } from '../processes/engine-child.ts';
import { startLlamaServer, startRpcWorker } from '../processes/llama-server.ts';
import { startMesh, type BenchDeployment } from '../processes/mesh.ts';
import { prosePrompts } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf, type Ratio } from '../statistics.ts';
import { streamContextTokens, streamCounts, tokensPerStream } from '../streams.ts';
import { askAtOnce, type Throughput } from '../throughput.ts';

const cores = [0, 1];
const mostStreams = Math.max(...streamCounts);
const ceilingStreams = 8;

/**
 * Measures two peers with half the layers each against llama.cpp's RPC workers with the same layers, and against their
 * ceiling.
 */
export const pipeline: BenchCase = {
  summary: 'two stages on two peers against two RPC workers of llama.cpp with the same layers, and against the ceiling',
  async run(context) {
    await using stack = new AsyncDisposableStack();
    const mesh = stack.use(await startMesh(cores, context));
    const spec = { stages: 2, contextTokens: mostStreams * streamContextTokens, sequences: mostStreams };
    const deployment = stack.use(await mesh.deploy(spec));
    const ratios: Record<string, Ratio> = {};
    const rows: Row[] = [];
    for (const streams of streamCounts) {
      await using rpc = await startRpc(deployment, { streams, context });
      const measured = await measureRounds(
        {
          skein: ask(mesh.endpoint, { streams, context }),
          'llama.cpp RPC': ask(rpc, { streams, context }),
        },
        { ...context, describe: describeThroughput(streams) },
      );
      ratios[`pipeline${streams}`] = ratioOf(speedsOf(measured.skein), speedsOf(measured['llama.cpp RPC']));
      for (const [what, values] of Object.entries(measured)) rows.push(rowOf(what, streams, values));
      rows.push(await ceilingRow(streams, context));
    }
    const ceiling = await compareWithCeiling(withoutSpeculation(mesh.endpoint), context);
    ratios[`pipelineCeiling${ceilingStreams}`] = ceiling.ratio;
    return { ratios, rows: [...rows, ...ceiling.rows] };
  },
};

interface AskOptions {
  readonly streams: number;
  readonly context: CaseContext;
}

function ask(endpoint: CompletionEndpoint, { streams, context }: AskOptions) {
  const { model, signal } = context;
  const maxTokens = tokensPerStream(model, streams);
  return async (round: number) =>
    await askAtOnce(endpoint, { prompts: prosePrompts(model, streams, round), maxTokens, signal });
}

/** Starts two workers with the layers of our stages, and a server that computes nothing itself and may run on any core. */
async function startRpc(
  { stages }: BenchDeployment,
  { streams, context }: AskOptions,
): Promise<CompletionEndpoint & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const workers: { port: number; layers: number }[] = [];
  for (const [index, { block }] of stages.entries()) {
    const layers = block.to - block.from;
    const { port } = stack.use(await startRpcWorker(cores[index] ?? 0, context));
    // The output matrix counts as one more layer there.
    workers.push({ port, layers: index === stages.length - 1 ? layers + 1 : layers });
  }
  const options = { cores, streams, contextTokens: streamContextTokens, workers };
  const server = stack.use(await startLlamaServer(options, context));
  const running = stack.move();
  const { url, model, parameters } = server;
  return { url, model, parameters, [Symbol.asyncDispose]: async () => await running.disposeAsync() };
}

/**
 * Measures the most that the two machines could do with so many streams and no drafts: one stream is never on both at
 * once.
 */
async function ceilingRow(streams: number, context: CaseContext): Promise<Row> {
  const sequences = Math.ceil(streams / cores.length);
  await using ceiling = await startCeiling({ contextTokens: sequences * streamContextTokens, sequences }, context);
  const tokens = tokensPerStream(context.model, streams);
  const { speeds } = await measureRounds(
    { speeds: async () => await ceiling.run({ type: 'decode', sequences, promptTokens: 16, tokens }) },
    { ...context, describe: (speed) => `ceiling of ${streamsText(streams)}, ${speed.toFixed(1)} tok/s` },
  );
  const steadyTokensPerSecond = (median(speeds) * streams) / (sequences * cores.length);
  return { what: 'ceiling', streams, steadyTokensPerSecond };
}

async function compareWithCeiling(
  endpoint: CompletionEndpoint,
  context: CaseContext,
): Promise<{ readonly ratio: Ratio; readonly rows: readonly Row[] }> {
  const sequences = ceilingStreams / cores.length;
  await using ceiling = await startCeiling({ contextTokens: sequences * streamContextTokens, sequences }, context);
  const askAll = ask(endpoint, { streams: ceilingStreams, context });
  const tokens = tokensPerStream(context.model, ceilingStreams);
  const measured = await measureRounds(
    {
      skein: async (round: number) => (await askAll(round)).steadyTokensPerSecond,
      ceiling: async () => await ceiling.run({ type: 'decode', sequences, promptTokens: 16, tokens }),
    },
    { ...context, describe: (speed) => `${streamsText(ceilingStreams)}, ${speed.toFixed(1)} tok/s` },
  );
  return {
    ratio: ratioOf(measured.skein, measured.ceiling),
    rows: [
      { what: 'skein', streams: ceilingStreams, steadyTokensPerSecond: median(measured.skein) },
      { what: 'ceiling', streams: ceilingStreams, steadyTokensPerSecond: median(measured.ceiling) },
    ],
  };
}

const speedsOf = (values: readonly Throughput[]) => values.map(({ tokensPerSecond }) => tokensPerSecond);

const describeThroughput =
  (streams: number) =>
  ({ tokensPerSecond, completionTokens }: Throughput) =>
    `${streamsText(streams)}, ${tokensPerSecond.toFixed(1)} tok/s (${completionTokens} tokens)`;

function rowOf(what: string, streams: number, values: readonly Throughput[]): Row {
  return {
    what,
    streams,
    tokensPerSecond: median(speedsOf(values)),
    steadyTokensPerSecond: median(values.map(({ steadyTokensPerSecond }) => steadyTokensPerSecond)),
  };
}
