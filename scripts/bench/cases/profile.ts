import type { BenchCase, CaseContext, Row } from '../bench-case.ts';
import { withoutSpeculation, type CompletionEndpoint } from '../completion.ts';
import { cpuTimeOf, type CpuTime } from '../cpu-time.ts';
import { engineOf } from '../memory.ts';
import { streamsText } from '../numbers.ts';
import { startEngineChild } from '../processes/engine-child.ts';
import { startMesh, type BenchDeployment, type BenchMesh } from '../processes/mesh.ts';
import { prosePrompts } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median } from '../statistics.ts';
import { streamContextTokens, tokensPerStream } from '../streams.ts';
import { askAtOnce } from '../throughput.ts';

const cores = [0, 1];
const streamCounts = [1, 8];
const mostStreams = Math.max(...streamCounts);

/** Measures each process's share of a token's time: computing for it, and waiting for a core. */
export const profile: BenchCase = {
  summary:
    'where the time of a token goes on one peer and in two stages: CPU time of engines, daemons and client, beside a bare engine',
  async run(context) {
    const rows: Row[] = [];
    for (const stages of [1, 2]) {
      await using mesh = await startMesh(cores.slice(0, stages), context);
      rows.push(...(await profileOf(mesh, { stages, context })));
    }
    const bare = { stages: 'none: a bare engine', streams: streamsText(1), what: 'elapsed' };
    return { ratios: {}, rows: [...rows, { ...bare, msPerToken: await bareEngineMs(context) }] };
  },
};

async function profileOf(
  mesh: BenchMesh,
  { stages, context }: { readonly stages: number; readonly context: CaseContext },
): Promise<Row[]> {
  const spec = { stages, contextTokens: mostStreams * streamContextTokens, sequences: mostStreams };
  await using deployment = await mesh.deploy(spec);
  const processes = await processesOf(deployment);
  const measured = await measureRounds(
    Object.fromEntries(
      streamCounts.map((streams) => [
        streamsText(streams),
        async (round: number) =>
          await measure(withoutSpeculation(mesh.endpoint), { streams, round, processes, context }),
      ]),
    ),
    { ...context, describe: ({ elapsedMs }) => `${elapsedMs.toFixed(2)} ms per token` },
  );
  return Object.entries(measured).flatMap(([streams, values]) => [
    { stages, streams, what: 'elapsed', msPerToken: median(values.map(({ elapsedMs }) => elapsedMs)) },
    ...[...processes.keys()].map((what) => {
      const times = values.flatMap(({ times: byProcess }) => byProcess.get(what) ?? []);
      return {
        stages,
        streams,
        what,
        msPerToken: median(times.map(({ computedMs }) => computedMs)),
        waitedForCoreMs: median(times.map(({ waitedMs }) => waitedMs)),
      };
    }),
  ]);
}

/** Times for each token of the answers, which also carry the cost of their prompts. */
interface Profile {
  readonly elapsedMs: number;
  readonly times: ReadonlyMap<string, CpuTime>;
}

async function bareEngineMs(context: CaseContext): Promise<number> {
  const options = { core: 0, contextTokens: streamContextTokens, sequences: 1, script: 'engine-loop' } as const;
  await using engine = await startEngineChild(options, context);
  const tokens = tokensPerStream(context.model, 1);
  const { speeds } = await measureRounds(
    { speeds: async () => await engine.run({ type: 'decode', sequences: 1, promptTokens: 16, tokens }) },
    { ...context, describe: (speed) => `a bare engine, ${(1000 / speed).toFixed(2)} ms per token` },
  );
  return 1000 / median(speeds);
}

/** Returns process ids by the roles of the processes. */
async function processesOf({ stages }: BenchDeployment): Promise<ReadonlyMap<string, number>> {
  const processes = new Map<string, number>();
  for (const [index, { pid }] of stages.entries()) {
    processes.set(`engine of stage ${index}`, await engineOf(pid));
    processes.set(`daemon of stage ${index}`, pid);
  }
  return processes.set('client', process.pid);
}

async function measure(
  endpoint: CompletionEndpoint,
  options: {
    readonly streams: number;
    readonly round: number;
    readonly processes: ReadonlyMap<string, number>;
    readonly context: CaseContext;
  },
): Promise<Profile> {
  const { streams, round, processes, context } = options;
  const { model, signal } = context;
  const look = async () =>
    await Promise.all([...processes].map(async ([what, pid]) => ({ what, time: await cpuTimeOf(pid) })));
  const prompts = prosePrompts(model, streams, round);
  const [before, startedMs] = [await look(), performance.now()];
  const { completionTokens } = await askAtOnce(endpoint, {
    prompts,
    maxTokens: tokensPerStream(model, streams),
    signal,
  });
  const elapsedMs = (performance.now() - startedMs) / completionTokens;
  const after = await look();
  const times = after.map(({ what, time }, index): readonly [string, CpuTime] => {
    const { computedMs = 0, waitedMs = 0 } = before[index]?.time ?? {};
    return [
      what,
      {
        computedMs: (time.computedMs - computedMs) / completionTokens,
        waitedMs: (time.waitedMs - waitedMs) / completionTokens,
      },
    ];
  });
  return { elapsedMs, times: new Map(times) };
}
