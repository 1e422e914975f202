import { generate } from '@skein/mesh';
import { defaultModelName } from '@skein/node';

import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { defaultModelFile } from '../cluster/models.ts';
import { median, ratioOf, type Ratio } from './statistics.ts';

const model = defaultModelName;
const rounds = 5;
const completionTokens = 64;

export interface BenchRow {
  readonly stages: number;
  /** Medians over the rounds. */
  readonly tokensPerSecond: number;
  readonly ttftMs: number;
}

export interface BenchReport {
  readonly case: string;
  readonly model: string;
  readonly ratios: Readonly<Record<string, Ratio>>;
  readonly rows: readonly BenchRow[];
}

/** One stream through the whole model and through 2 and 3 stages, one engine thread a peer, in alternating order. */
export async function benchSplit(report: (line: string) => void): Promise<BenchReport> {
  const file = await defaultModelFile();
  if ('unreachable' in file) throw new Error(file.unreachable);
  await using cluster = await startCluster({ peers: 3, models: [file.path] });
  const measured = new Map<number, { speeds: number[]; waits: number[] }>(
    [1, 2, 3].map((stages) => [stages, { speeds: [], waits: [] }]),
  );
  for (let round = 1; round <= rounds; round += 1) {
    for (const [stages, { speeds, waits }] of measured) {
      const { tokensPerSecond, ttftMs } = await measure(cluster, stages);
      speeds.push(tokensPerSecond);
      waits.push(ttftMs);
      report(`round ${round}: ${stages} stages, ${tokensPerSecond.toFixed(1)} tok/s, TTFT ${ttftMs.toFixed(0)} ms`);
    }
  }
  const whole = measured.get(1);
  const rows = [...measured].map(([stages, { speeds, waits }]) => ({
    stages,
    tokensPerSecond: median(speeds),
    ttftMs: median(waits),
  }));
  const ratios: Record<string, Ratio> = {};
  for (const [stages, { speeds }] of measured) {
    if (stages > 1 && whole !== undefined) ratios[`split${stages}`] = ratioOf(speeds, whole.speeds);
  }
  return { case: 'split', model, ratios, rows };
}

async function measure(cluster: Cluster, stages: number): Promise<{ tokensPerSecond: number; ttftMs: number }> {
  const { deployments } = cluster.coordinator;
  const { id, stages: placed } = await deployments.deploy({ model, stages });
  const lead = placed[0]?.peer ?? '';
  const run = async () => {
    const startedAt = performance.now();
    let firstAt = startedAt;
    let tokens = 0;
    const request = {
      deployment: id,
      prompt: { type: 'text', text: 'The sea is wide, and the people who live beside it' } as const,
      sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
      maxTokens: completionTokens,
      stop: [],
    };
    for await (const event of generate(cluster.coordinatorMesh, lead, request)) {
      if (event.type !== 'text-delta' || event.tokens.length === 0) continue;
      if (tokens === 0) firstAt = performance.now();
      tokens += event.tokens.length;
    }
    return { tokensPerSecond: ((tokens - 1) * 1000) / (performance.now() - firstAt), ttftMs: firstAt - startedAt };
  };
  try {
    // The first run pays for page faults and lazily made buffers.
    await run();
    return await run();
  } finally {
    await deployments.undeploy(id);
  }
}
