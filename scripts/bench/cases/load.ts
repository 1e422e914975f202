import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { z } from 'zod';

import type { BenchCase, CaseContext, Row } from '../bench-case.ts';
import { tinyModelFile } from '../../cluster/models.ts';
import { complete } from '../completion.ts';
import { engineOf, memoryOf } from '../memory.ts';
import { daemonFlags, startMesh, type BenchMesh, type BenchSpec } from '../processes/mesh.ts';
import { startSkein } from '../processes/skein-command.ts';
import { newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { stageWeightBytes } from '../stage-weights.ts';
import { median, spreadOf, type Ratio } from '../statistics.ts';

const contextTokens = 2048;
const settleMs = 5000;
/** Number of requests, so short that the daemons have all the work. */
const busyRequests = 3000;
const busyStreams = 16;
const megabyte = 1e6;

/** Measures the time until a model is ready, and its memory beside weights and KV cache. */
export const load: BenchCase = {
  summary: 'loading a model and cutting a stage: time and memory; what an engine and a daemon take beside the weights',
  async run(context) {
    const { rounds: loads } = await measureRounds(
      { rounds: async () => await measureLoads(context) },
      {
        ...context,
        describe: ({ whole, firstSplit, split }) =>
          `whole ${whole.ms.toFixed(0)} ms, two stages ${firstSplit.ms.toFixed(0)} ms, again ${split.ms.toFixed(0)} ms`,
      },
    );
    const ratios: Record<string, Ratio> = {
      stageMb: spreadOf(loads.map(({ split }) => Math.max(...split.engines.map(({ besideMb }) => besideMb)))),
    };
    const rows: Row[] = [
      rowOf(
        'whole model',
        loads.map(({ whole }) => whole),
      ),
      rowOf(
        'two stages, cut first',
        loads.map(({ firstSplit }) => firstSplit),
      ),
      rowOf(
        'two stages, cut before',
        loads.map(({ split }) => split),
      ),
    ];
    // The same whatever the model, as there is none.
    if (context.model.key === 'smollm2') {
      const { daemon } = await measureRounds(
        { daemon: async () => await daemonMb(context) },
        { ...context, describe: (value) => `a daemon without a model takes ${value.toFixed(1)} MB` },
      );
      ratios.daemonMb = spreadOf(daemon);
      const { busy } = await measureRounds(
        { busy: async () => await busyDaemonMb(context) },
        {
          ...context,
          describe: (value) => `a daemon that answered ${busyRequests} requests takes ${value.toFixed(1)} MB`,
        },
      );
      ratios.busyDaemonMb = spreadOf(busy);
    }
    return { ratios, rows };
  },
};

interface Load {
  /** Time from the request to deploy until all is ready. */
  readonly ms: number;
  /** Engines in the order of the stages. */
  readonly engines: readonly {
    readonly peakMb: number;
    /** Resident memory beside the stage's weights and KV cache. */
    readonly besideMb: number;
  }[];
}

/** Measures loads with new daemons, which have cut nothing yet. */
async function measureLoads(
  context: CaseContext,
): Promise<{ readonly whole: Load; readonly firstSplit: Load; readonly split: Load }> {
  await using mesh = await startMesh([0, 1], context);
  return {
    whole: await measureLoad(mesh, { stages: 1 }, context),
    firstSplit: await measureLoad(mesh, { stages: 2 }, context),
    split: await measureLoad(mesh, { stages: 2 }, context),
  };
}

async function measureLoad(mesh: BenchMesh, spec: BenchSpec, context: CaseContext): Promise<Load> {
  const { model, signal } = context;
  const startedMs = performance.now();
  await using deployment = await mesh.deploy({ ...spec, contextTokens, sequences: 1 });
  const ms = performance.now() - startedMs;
  // Touches what the first prompt touches.
  await complete(mesh.endpoint, { prompt: newTokens(64), maxTokens: 4, signal });
  const engines = deployment.stages.map(async ({ pid, block }) => {
    const { residentBytes, peakBytes } = await memoryOf(await engineOf(pid));
    const weights = stageWeightBytes(model, block);
    const cache = (block.to - block.from) * contextTokens * model.cacheBytesPerLayer;
    return { peakMb: peakBytes / megabyte, besideMb: (residentBytes - weights - cache) / megabyte };
  });
  return { ms, engines: await Promise.all(engines) };
}

async function daemonMb({ directory, signal }: CaseContext): Promise<number> {
  const data = join(directory, `daemon-${process.hrtime.bigint()}`);
  const { facts, process: daemon } = await startSkein(['up', '--port', '0', ...daemonFlags], {
    cores: [0],
    data,
    signal,
  });
  await using _running = daemon;
  await delay(settleMs, undefined, { signal });
  const { pid } = z.object({ pid: z.number() }).parse(facts);
  return (await memoryOf(pid)).residentBytes / megabyte;
}

/** Returns the memory of the larger of two daemons, a stage each, after many short requests. */
async function busyDaemonMb(context: CaseContext): Promise<number> {
  const { signal } = context;
  await using model = await tinyModelFile();
  await using mesh = await startMesh([0, 1], { ...context, model });
  await using deployment = await mesh.deploy({ stages: 2, contextTokens, sequences: busyStreams / 2 });
  let left = busyRequests;
  const askOneByOne = async () => {
    while (left-- > 0) await complete(mesh.endpoint, { prompt: `Say ${left}`, maxTokens: 4, signal });
  };
  await Promise.all(Array.from({ length: busyStreams }, askOneByOne));
  await delay(settleMs, undefined, { signal });
  const daemons = await Promise.all(deployment.stages.map(async ({ pid }) => await memoryOf(pid)));
  return Math.max(...daemons.map(({ residentBytes }) => residentBytes)) / megabyte;
}

function rowOf(what: string, loads: readonly Load[]): Row {
  const greatest = (key: 'peakMb' | 'besideMb') =>
    median(loads.map(({ engines }) => Math.max(...engines.map((engine) => engine[key]))));
  return {
    what,
    readyMs: median(loads.map(({ ms }) => ms)),
    peakMb: greatest('peakMb'),
    besideMb: greatest('besideMb'),
  };
}
