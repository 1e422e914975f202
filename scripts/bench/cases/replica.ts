import type { BenchCase, CaseContext, CaseResult, Row } from '../bench-case.ts';
import { complete, ttftMs, type CompletionEndpoint } from '../completion.ts';
import { streamsText } from '../numbers.ts';
import { startEngineChild } from '../processes/engine-child.ts';
import { startLlamaServer } from '../processes/llama-server.ts';
import { startMesh } from '../processes/mesh.ts';
import { moveToCores } from '../processes/own-cores.ts';
import { newTokens, prosePrompts } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { differenceOf, median, ratioOf, type Ratio } from '../statistics.ts';
import { streamContextTokens, streamCounts, tokensPerStream } from '../streams.ts';
import { askAtOnce } from '../throughput.ts';

const [engineCore, clientCore] = [0, 1];
const ttftPromptTokens = 16;
const mostStreams = Math.max(...streamCounts);

/** Measures one peer against llama.cpp's own server, both on one core, the client on the other. */
export const replica: BenchCase = {
  summary: "one peer against llama-server: answers' speed with 1, 4 and 16 streams, and the time to the first token",
  async run(context) {
    await using stack = new AsyncDisposableStack();
    await moveToCores([clientCore]);
    const mesh = stack.use(await startMesh([engineCore], context));
    stack.use(await mesh.deploy({ contextTokens: mostStreams * streamContextTokens, sequences: mostStreams }));
    const ratios: Record<string, Ratio> = {};
    const rows: Row[] = [];
    for (const streams of streamCounts) {
      const options = { cores: [engineCore], streams, contextTokens: streamContextTokens };
      await using server = await startLlamaServer(options, context);
      const endpoints = { skein: mesh.endpoint, 'llama-server': server };
      const compared = await compareThroughput(endpoints, { streams, context });
      ratios[`replica${streams}`] = compared.ratio;
      rows.push(...compared.rows);
      if (streams > 1) continue;
      const { ratio, row } = await compareTtft(endpoints, context);
      ratios.replicaTtftMs = ratio;
      rows.push(row);
    }
    rows.push(await nodeLlamaCppRow(context));
    return { ratios, rows };
  },
};

interface Endpoints {
  readonly skein: CompletionEndpoint;
  readonly 'llama-server': CompletionEndpoint;
}

async function compareThroughput(
  endpoints: Endpoints,
  { streams, context }: { readonly streams: number; readonly context: CaseContext },
): Promise<{ readonly ratio: Ratio; readonly rows: CaseResult['rows'] }> {
  const { model, signal } = context;
  const maxTokens = tokensPerStream(model, streams);
  const ask = (endpoint: CompletionEndpoint) => async (round: number) =>
    await askAtOnce(endpoint, { prompts: prosePrompts(model, streams, round), maxTokens, signal });
  const measured = await measureRounds(
    { skein: ask(endpoints.skein), 'llama-server': ask(endpoints['llama-server']) },
    {
      ...context,
      describe: ({ tokensPerSecond, completionTokens }) =>
        `${streamsText(streams)}, ${tokensPerSecond.toFixed(1)} tok/s (${completionTokens} tokens)`,
    },
  );
  const speeds = (name: keyof Endpoints) => measured[name].map(({ tokensPerSecond }) => tokensPerSecond);
  const rows = (['skein', 'llama-server'] as const).map((what) => ({
    what,
    streams,
    tokensPerSecond: median(speeds(what)),
    steadyTokensPerSecond: median(measured[what].map(({ steadyTokensPerSecond }) => steadyTokensPerSecond)),
  }));
  return { ratio: ratioOf(speeds('skein'), speeds('llama-server')), rows };
}

async function compareTtft(
  endpoints: Endpoints,
  context: CaseContext,
): Promise<{ readonly ratio: Ratio; readonly row: Row }> {
  const { signal } = context;
  const ask = (endpoint: CompletionEndpoint) => async () =>
    ttftMs(await complete(endpoint, { prompt: newTokens(ttftPromptTokens), maxTokens: 1, signal }));
  const measured = await measureRounds(
    { skein: ask(endpoints.skein), 'llama-server': ask(endpoints['llama-server']) },
    { ...context, describe: (waitMs) => `TTFT ${waitMs.toFixed(1)} ms` },
  );
  const [ours, theirs] = [measured.skein, measured['llama-server']];
  const row = {
    what: `TTFT of ${ttftPromptTokens} tokens`,
    skeinMs: median(ours),
    llamaServerMs: median(theirs),
  };
  return { ratio: differenceOf(ours, theirs), row };
}

async function nodeLlamaCppRow(context: CaseContext): Promise<Row> {
  const { model } = context;
  const options = { core: engineCore, contextTokens: streamContextTokens, sequences: 1 };
  await using engine = await startEngineChild({ ...options, script: 'node-llama-cpp-loop' }, context);
  const command = { type: 'decode', sequences: 1, promptTokens: 8, tokens: tokensPerStream(model, 1) } as const;
  const { speeds } = await measureRounds(
    { speeds: async () => await engine.run(command) },
    { ...context, describe: (speed) => `node-llama-cpp, 1 stream, ${speed.toFixed(1)} tok/s` },
  );
  return { what: 'node-llama-cpp', streams: 1, steadyTokensPerSecond: median(speeds) };
}
