import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { cardSchema, invariant, predictionSchema, type Card, type Hardware, type Prediction } from '@skein/protocol';
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
/** Context of the deployments, in tokens. Predictions of the time to the first token are for prompts of 512. */
const contextTokens = 1024;
/** Ids that prompts are made of: past the special ones, and few enough for any vocabulary. */
const promptIds = { least: 1000, most: 30_000 } as const;
/** Longest wait for members to measure their links, in milliseconds. They begin a few seconds after they have met. */
const linksTimeoutMs = 90_000;

/** The predicted and the measured speed of one stream over so many stages. */
export interface Comparison {
  readonly mbit: number;
  readonly stages: number;
  readonly predicted: number;
  readonly measured: number;
  /** Tokens of a long prompt in a second. */
  readonly prefill: Pair;
  /** Time to the first token of an answer to that prompt, in milliseconds. */
  readonly ttftMs: Pair;
}

/** A predicted and a measured figure. */
export interface Pair {
  readonly predicted: number;
  readonly measured: number;
}

/** The machines' own measurements of one setting, from their cards. */
export interface MeasuredMachine extends Pick<Card, 'name' | 'links'>, Pick<Hardware, 'speeds'> {}

/** All figures of one bandwidth. */
export interface Measurements {
  readonly comparisons: readonly Comparison[];
  readonly machines: readonly MeasuredMachine[];
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

const planSchema = z.object({ plan: z.object({ prediction: predictionSchema }) });
const deploymentSchema = z.object({ id: z.string() });
const statusSchema = z.object({ members: z.array(cardSchema) });
const answerSchema = z.object({
  usage: z.object({ completion_tokens: z.number() }),
  skein: z.object({ timings: z.object({ firstTokenMs: z.number(), decodeMs: z.number() }) }),
});

/**
 * Compares predicted with measured decode speeds of one stream on three machines whose cables have one bandwidth: whole,
 * and over two and three stages. All predictions are made before anything is measured but the machines' own speeds and
 * links, so that none is corrected by an earlier answer.
 */
export async function measurePredictions(options: MeasureOptions): Promise<Measurements> {
  const { directory, path, mbit, rounds, signal } = options;
  await using stack = new AsyncDisposableStack();
  const lan = stack.use(await createLan({ hosts: names.length }));
  const setBandwidth = async (mbitPerSecond: number) =>
    await Promise.all(lan.hosts.map(async (host) => await host.setBandwidth(mbitPerSecond)));
  await setBandwidth(Math.max(...bandwidths));
  const dataOf = (name: string) => join(directory, name);
  const home = { name: 'home', data: dataOf('home') };
  const skein = async (...commandLine: readonly string[]) => await runSkein(commandLine, { machine: home, signal });
  await skein('pull', path);
  const daemons: Daemon[] = [];
  const start = async (name: (typeof names)[number], [command, ...invitation]: readonly [string, ...string[]]) => {
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
    const daemon = stack.use(
      new Daemon({
        name,
        host: lan.host(names.indexOf(name)),
        data: dataOf(name),
        run: 'predictions',
        onCrash: (crash) => process.stderr.write(`${crash}\n`),
        first: [command, ...invitation, ...flags],
        again: [command, ...flags],
      }),
    );
    await daemon.start(signal);
    daemons.push(daemon);
  };
  const members = async () => statusSchema.parse(await skein('status', '--json')).members;
  const deploy = async (model: string, ...spec: readonly string[]) =>
    deploymentSchema.parse(await skein('deploy', model, ...spec, '--json')).id;
  const undeploy = async (id: string) => await skein('undeploy', id, '--now', '--json');
  await start('home', ['up']);
  const { model } = invariant((await members()).flatMap(({ models }) => models)[0], 'it was pulled');
  // Each machine loads the model, and so measures its speed, while no other one does: all share one processor here.
  await undeploy(await deploy(model, ...specOf(1)));
  for (const name of names.slice(1)) {
    const label = ['--label', `machine=${name}`];
    const { invite } = z.object({ invite: z.string() }).parse(await skein('invite', ...label, '--json'));
    await start(name, ['join', invite]);
    await undeploy(await deploy(model, ...specOf(1), ...label));
  }
  // Daemons measure their links soon after they were started, and seldom later.
  await Promise.all(daemons.map(async (daemon) => await daemon.end('SIGTERM')));
  await setBandwidth(mbit);
  const restartedAt = Date.now();
  for (const daemon of daemons) await daemon.start(signal);
  await untilLinksAreMeasured(members, restartedAt);

  const predictions = new Map<number, Prediction>();
  for (const stages of stageCounts) {
    const answer = await skein('plan', model, ...specOf(stages), '--json');
    predictions.set(stages, planSchema.parse(answer).plan.prediction);
  }
  const machines = (await members()).map(({ name, hardware, links }) => ({ name, links, speeds: hardware?.speeds }));
  const comparisons: Comparison[] = [];
  const ask = async (request: { prompt: string | readonly number[]; tokens: number }) =>
    await timingsOf(join(dataOf('home'), 'control.sock'), { model, ...request });
  for (const [stages, prediction] of predictions) {
    // Layers are fetched over fast cables: nothing of that is measured here.
    await setBandwidth(Math.max(...bandwidths));
    const id = await deploy(model, ...specOf(stages));
    await setBandwidth(mbit);
    const [speeds, halfMs, wholeMs]: [number[], number[], number[]] = [[], [], []];
    const { promptTokens } = prediction;
    for (let round = 0; round <= rounds; round += 1) {
      const { tokens, decodeMs } = await ask({ prompt: 'The history of the city begins', tokens: answerTokens });
      const half = await ask({ prompt: randomPrompt(promptTokens / 2), tokens: 1 });
      const whole = await ask({ prompt: randomPrompt(promptTokens), tokens: 1 });
      // The first answers pay for buffers.
      if (round === 0) continue;
      speeds.push(((tokens - 1) / decodeMs) * 1000);
      halfMs.push(half.firstTokenMs);
      wholeMs.push(whole.firstTokenMs);
    }
    const measuredMs = medianOf(wholeMs);
    comparisons.push({
      mbit,
      stages,
      predicted: prediction.oneStreamTokensPerSecond,
      measured: medianOf(speeds),
      prefill: {
        predicted: prediction.prefillTokensPerSecond,
        measured: (promptTokens / 2 / (measuredMs - medianOf(halfMs))) * 1000,
      },
      ttftMs: { predicted: prediction.ttftMs, measured: measuredMs },
    });
    await undeploy(id);
  }
  return { comparisons, machines };
}

function specOf(stages: number): readonly string[] {
  return ['--stages', String(stages), '--parallel', '1', '--ctx', String(contextTokens)];
}

/** Makes a prompt of so many tokens that no cache has seen. */
function randomPrompt(tokens: number): readonly number[] {
  return Array.from({ length: tokens }, () => randomInt(promptIds.least, promptIds.most));
}

interface Timings {
  readonly tokens: number;
  readonly firstTokenMs: number;
  readonly decodeMs: number;
}

/** Asks for an answer without draft tokens. Returns its timings by its lead's clock. */
async function timingsOf(
  socketPath: string,
  request: { readonly model: string; readonly prompt: string | readonly number[]; readonly tokens: number },
): Promise<Timings> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  const { model, prompt, tokens } = request;
  const body = JSON.stringify({ model, prompt, max_tokens: tokens, temperature: 0, speculation: false });
  const response = await fetchOver(socket, (cause) => new Error('the coordinator is gone', { cause }))(
    'http://localhost/v1/completions',
    { method: 'POST', headers: { 'content-type': 'application/json' }, body },
  );
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const { usage, skein } = answerSchema.parse(JSON.parse(text));
  return { tokens: usage.completion_tokens, ...skein.timings };
}

async function untilLinksAreMeasured(
  members: () => Promise<z.infer<typeof statusSchema>['members']>,
  sinceMs: number,
): Promise<void> {
  const untilMs = performance.now() + linksTimeoutMs;
  const isMeasured = ({ links = [] }: Pick<Card, 'links'>) =>
    links.filter(({ measuredAt }) => measuredAt >= sinceMs).length === names.length - 1;
  for (;;) {
    const cards = await members();
    if (cards.length === names.length && cards.every(isMeasured)) return;
    if (performance.now() > untilMs) throw new Error('the machines did not measure their links in time');
    await delay(1000);
  }
}

/** Returns the middle one of some numbers. */
export function medianOf(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  return invariant(sorted[Math.floor(sorted.length / 2)], 'there are numbers');
}
