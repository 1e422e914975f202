import type { BenchCase, CaseContext } from '../bench-case.ts';
import { withoutSpeculation, type CompletionEndpoint } from '../completion.ts';
import { cpuMsOf } from '../cpu-time.ts';
import { engineOf } from '../memory.ts';
import { streamsText } from '../numbers.ts';
import { startEngineChild } from '../processes/engine-child.ts';
import { startMesh, type BenchDeployment } from '../processes/mesh.ts';
import { prosePrompts } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median } from '../statistics.ts';
import { streamContextTokens, tokensPerStream } from '../streams.ts';
import { askAtOnce } from '../throughput.ts';

const cores = [0, 1];
const mostStreams = 8;

/** Whose time a token takes: what each process computes for it, and what the ring waits. */
export const profile: BenchCase = {
  summary:
    'where the time of a token goes in two stages: CPU time of engines, daemons and client, beside a bare engine',
  async run(context) {
    const bare = await bareEngineMs(context);
    await using mesh = await startMesh(cores, context);
    const wish = { stages: 2, contextTokens: mostStreams * streamContextTokens, sequences: mostStreams };
    await using deployment = await mesh.deploy(wish);
    const processes = await processesOf(deployment);
    const measured = await measureRounds(
      Object.fromEntries(
        [1, mostStreams].map((streams) => [
          streamsText(streams),
          async (round: number) =>
            await measure(withoutSpeculation(mesh.endpoint), { streams, round, processes, context }),
        ]),
      ),
      { ...context, describe: ({ elapsed }) => `${elapsed.toFixed(2)} ms per token` },
    );
    const rows = Object.entries(measured).flatMap(([streams, values]) =>
      Object.keys(values[0] ?? {}).map((what) => ({
        streams,
        what,
        msPerToken: median(values.map((value) => value[what] ?? Number.NaN)),
      })),
    );
    return { ratios: {}, rows: [...rows, { streams: '1 stream', what: 'a bare engine, whole', msPerToken: bare }] };
  },
};

type Profile = Readonly<Record<string, number>> & { readonly elapsed: number };

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

/** Process ids by what they are. */
async function processesOf({ stages }: BenchDeployment): Promise<ReadonlyMap<string, number>> {
  const processes = new Map<string, number>();
  for (const [index, { pid }] of stages.entries()) {
    processes.set(`engine of stage ${index}`, await engineOf(pid));
    processes.set(`daemon of stage ${index}`, pid);
  }
  return processes.set('client', process.pid);
}

/** Milliseconds by process and in all, for each token of the answers: prompts are paid for by them, too. */
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
    await Promise.all([...processes].map(async ([what, pid]) => [what, await cpuMsOf(pid)] as const));
  const prompts = prosePrompts(model, streams, round);
  const [before, startedMs] = [new Map(await look()), performance.now()];
  const { completionTokens } = await askAtOnce(endpoint, {
    prompts,
    maxTokens: tokensPerStream(model, streams),
    signal,
  });
  const elapsed = (performance.now() - startedMs) / completionTokens;
  const after = await look();
  const computed = after.map(([what, ms]) => [what, (ms - (before.get(what) ?? 0)) / completionTokens] as const);
  return { elapsed, ...Object.fromEntries(computed) };
}
