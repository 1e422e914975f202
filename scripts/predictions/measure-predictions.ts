import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { cardSchema, invariant } from '@skein/protocol';
import { z } from 'zod';

import { fetchOver } from '../../packages/cli/src/control/socket-fetch.ts';
import { Daemon } from '../faults/daemon.ts';
import { createLan } from '../lan/lan.ts';
import { runSkein } from '../quickstart/skein-command.ts';

/** Bandwidths of the machines' cables, in 10⁶ bits a second. */
export const bandwidths = [1000, 100, 10] as const;
/** Numbers of stages: a replica on one machine, and pipelines. */
const stageCounts = [1, 2, 3] as const;

const names = ['home', 'attic', 'cellar'] as const;
const port = 7330;
const answerTokens = 64;
/** Longest wait for members to measure their links, in milliseconds. They begin a few seconds after they have met. */
const linksTimeoutMs = 90_000;

/** The predicted and the measured speed of one stream over so many stages. */
export interface Comparison {
  readonly mbit: number;
  readonly stages: number;
  readonly predicted: number;
  readonly measured: number;
}

export interface MeasureOptions {
  /** Empty; data directories go there. */
  readonly directory: string;
  /** Path of the model. */
  readonly path: string;
  readonly mbit: number;
  /** Answers whose median speed counts. */
  readonly rounds: number;
  readonly signal: AbortSignal;
}

const planSchema = z.object({ plan: z.object({ prediction: z.object({ oneStreamTokensPerSecond: z.number() }) }) });
const deploymentSchema = z.object({ id: z.string() });
const statusSchema = z.object({ members: z.array(cardSchema) });
const answerSchema = z.object({
  usage: z.object({ completion_tokens: z.number() }),
  skein: z.object({ timings: z.object({ decodeMs: z.number() }) }),
});

/**
 * Compares predicted with measured decode speeds of one stream on three machines whose cables have one bandwidth: whole,
 * and over two and three stages. All predictions are made before anything is measured but the machines' own speeds and
 * links, so that none is corrected by an earlier answer.
 */
export async function measurePredictions(options: MeasureOptions): Promise<readonly Comparison[]> {
  const { directory, path, mbit, rounds, signal } = options;
  await using stack = new AsyncDisposableStack();
  const lan = stack.use(await createLan({ hosts: names.length }));
  for (const host of lan.hosts) await host.setBandwidth(mbit);
  const dataOf = (name: string) => join(directory, name);
  const home = { name: 'home', data: dataOf('home') };
  const skein = async (...commandLine: readonly string[]) => await runSkein(commandLine, { machine: home, signal });
  await skein('pull', path);
  const start = async (name: (typeof names)[number], commandLine: readonly string[]) => {
    const flags = [
      '--name',
      name,
      '--backend',
      'cpu',
      '--threads',
      '1',
      '--no-mdns',
      '--listen',
      `/ip4/0.0.0.0/tcp/${port}`,
    ];
    const first = [...commandLine, ...flags];
    const daemon = stack.use(
      new Daemon({
        name,
        host: lan.host(names.indexOf(name)),
        data: dataOf(name),
        run: 'predictions',
        onCrash: (crash) => process.stderr.write(`${crash}\n`),
        first,
        again: first,
      }),
    );
    await daemon.start(signal);
  };
  await start('home', ['up']);
  for (const name of names.slice(1)) {
    const { invite } = z.object({ invite: z.string() }).parse(await skein('invite', '--json'));
    await start(name, ['join', invite]);
  }
  const model = invariant(
    statusSchema.parse(await skein('status', '--json')).members.flatMap(({ models }) => models)[0]?.model,
    'it was pulled',
  );
  const deploy = async (stages: number) => {
    const split = ['--stages', String(stages), '--parallel', '1', '--ctx', '512', '--json'];
    return deploymentSchema.parse(await skein('deploy', model, ...split)).id;
  };
  // Each machine loads a stage, and so measures its speed.
  await skein('undeploy', await deploy(names.length), '--now', '--json');
  await untilLinksAreMeasured(async () => statusSchema.parse(await skein('status', '--json')).members);

  const predictions = new Map<number, number>();
  for (const stages of stageCounts) {
    const answer = await skein('plan', model, '--stages', String(stages), '--parallel', '1', '--ctx', '512', '--json');
    predictions.set(stages, planSchema.parse(answer).plan.prediction.oneStreamTokensPerSecond);
  }
  const comparisons: Comparison[] = [];
  for (const [stages, predicted] of predictions) {
    const id = await deploy(stages);
    const speeds: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const speed = await answerSpeed(join(dataOf('home'), 'control.sock'), model);
      // The first answer pays for buffers.
      if (round > 0) speeds.push(speed);
    }
    comparisons.push({ mbit, stages, predicted, measured: medianOf(speeds) });
    await skein('undeploy', id, '--now', '--json');
  }
  return comparisons;
}

/** Returns the decode speed of one answer, without draft tokens, by its lead's clock. */
async function answerSpeed(socketPath: string, model: string): Promise<number> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  const request = {
    model,
    prompt: 'The history of the city begins',
    max_tokens: answerTokens,
    temperature: 0,
    speculation: false,
  };
  const response = await fetchOver(socket, (cause) => new Error('the coordinator is gone', { cause }))(
    'http://localhost/v1/completions',
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) },
  );
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const { usage, skein } = answerSchema.parse(JSON.parse(text));
  return ((usage.completion_tokens - 1) / skein.timings.decodeMs) * 1000;
}

async function untilLinksAreMeasured(members: () => Promise<z.infer<typeof statusSchema>['members']>): Promise<void> {
  const untilMs = performance.now() + linksTimeoutMs;
  while (!(await members()).every(({ links = [] }) => links.length === names.length - 1)) {
    if (performance.now() > untilMs) throw new Error('the machines did not measure their links in time');
    await delay(1000);
  }
}

/** Returns the middle one of some numbers. */
export function medianOf(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  return invariant(sorted[Math.floor(sorted.length / 2)], 'there are numbers');
}
