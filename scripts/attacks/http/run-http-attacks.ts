import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import { memoryOf } from '../../bench/memory.ts';
import { startMesh } from '../../bench/processes/mesh.ts';
import { tinyModelFile } from '../../cluster/models.ts';
import { httpAttacks } from './cases/index.ts';
import type { HttpTarget } from './http-attack.ts';
import { startNormalClients, type NormalClients } from './normal-clients.ts';

export interface HttpAttackOutcome {
  readonly name: string;
  /** The undesired result; undefined when there was none. */
  readonly failure: string | undefined;
  /** Whether the failure is the wait of others, and nothing else. */
  readonly isSlow: boolean;
  readonly attackMs: number;
  /** Time to the first token of a normal client before the attack, the 95th of a hundred, in milliseconds. */
  readonly quietMs: number;
  readonly attackedMs: number;
  /** Resident memory, before the attack, of the daemon that grew most; then some seconds after it. */
  readonly beforeBytes: number;
  readonly afterBytes: number;
}

/** Duration of each quiet measurement before an attack, followed by how many of them count. */
const quietPhaseMs = 2000;
const quietSamples = 80;
const leastSamples = 5;
/**
 * Least number of waiting clients during an attack. A short attack is made again until then, since the 95th of a few is
 * the worst of them.
 */
const enoughSamples = 30;
const mostRounds = 5;
/**
 * Times that an attack is made whose clients waited for longer than they should: where that comes every time, the attack
 * is the cause, and not what else the machine does.
 */
const mostTries = 3;
/** Longest time for memory to come back, in milliseconds. */
const recoveryMs = 20_000;
const recoveredShare = 1.5;

/**
 * Starts two daemons that share a model, and runs attackers at the HTTP API of the first, while others use it. Reports
 * each attack to `onOutcome`.
 */
export async function runHttpAttacks(options: {
  readonly signal: AbortSignal;
  /** Part of the names of those to run. Default: all. */
  readonly only?: string | undefined;
  readonly onOutcome?: (outcome: HttpAttackOutcome) => void;
}): Promise<{ readonly outcomes: readonly HttpAttackOutcome[]; readonly answers: number }> {
  const { signal, only = '', onOutcome } = options;
  const attacks = httpAttacks.filter(({ name }) => name.includes(only));
  if (attacks.length === 0) return { outcomes: [], answers: 0 };
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'skein-attacks-'));
  stack.defer(async () => await rm(directory, { recursive: true }));
  const model = stack.use(await tinyModelFile());
  const mesh = stack.use(await startMesh([0, 1], { model, directory, signal, say: () => undefined }));
  // One for each answer that attackers and clients ask for at once: all of them are one principal, between whose requests
  // admission makes no difference. So eight long answers of an attacker would keep the others waiting with eight
  // sequences; the waits measured here are those that a pause of ours would cause.
  const deployment = stack.use(await mesh.deploy({ stages: 2, contextTokens: 4096, sequences: 12 }));
  const daemons = deployment.stages.map(({ pid }) => pid);
  const { url, model: name } = mesh.endpoint;
  const target: HttpTarget = { url, model: name, port: Number(new URL(url).port) };
  const clients = stack.use(startNormalClients(mesh.endpoint));
  // The first requests take longer than any after them.
  await delay(quietPhaseMs, undefined, { signal });
  clients.takeWaits();
  const outcomes: HttpAttackOutcome[] = [];
  const quiet: number[] = [];
  for (const attack of attacks) {
    signal.throwIfAborted();
    const scene = { target, clients, daemons, quiet, signal };
    let outcome = await attempt(attack.name, scene);
    for (let tries = 1; outcome.isSlow && tries < mostTries; tries += 1) outcome = await attempt(attack.name, scene);
    outcomes.push(outcome);
    onOutcome?.(outcome);
  }
  return { outcomes, answers: clients.answers };
}

interface Scene {
  readonly target: HttpTarget;
  readonly clients: NormalClients;
  readonly daemons: readonly number[];
  /** Waits of an undisturbed client, the newest last, in milliseconds. */
  readonly quiet: number[];
  readonly signal: AbortSignal;
}

async function attempt(name: string, { target, clients, daemons, quiet, signal }: Scene): Promise<HttpAttackOutcome> {
  clients.takeWaits();
  await delay(quietPhaseMs, undefined, { signal });
  quiet.push(...clients.takeWaits());
  quiet.splice(0, quiet.length - quietSamples);
  clients.takeFailures();
  const before = await residentBytes(daemons);
  const startedMs = performance.now();
  const waits: number[] = [];
  let failure: string | undefined;
  for (let round = 0; round < mostRounds && waits.length < enoughSamples && failure === undefined; round += 1) {
    failure = await inThread(name, target);
    waits.push(...clients.takeWaits());
  }
  const attackMs = performance.now() - startedMs;
  // Requests of the time of the attack may be answered after it.
  for (const least = performance.now() + recoveryMs; waits.length < leastSamples && performance.now() < least;) {
    await delay(100, undefined, { signal });
    waits.push(...clients.takeWaits());
  }
  const after = await recovered(daemons, before);
  const lost = clients.takeFailures();
  const [quietMs, attackedMs] = [percentile95(quiet), percentile95(waits)];
  const worst = worstOf(before, after);
  const allowedMs = 3 * quietMs + 200;
  if (lost.length > 0) failure ??= `${lost.length} answers to others were lost: ${lost[0]}`;
  if (worst.afterBytes > recoveredShare * worst.beforeBytes) failure ??= 'memory does not come back';
  const isSlow = failure === undefined && attackedMs > allowedMs;
  if (isSlow)
    failure = `others waited ${Math.round(attackedMs)} ms, allowed ${Math.round(allowedMs)}, ${mostTries} times`;
  return { name, failure, isSlow, attackMs, quietMs, attackedMs, ...worst };
}

/** Runs an attack in a thread. Returns its error as text; undefined when there was none. */
async function inThread(name: string, target: HttpTarget): Promise<string | undefined> {
  const worker = new Worker(new URL('attack-worker.ts', import.meta.url), { workerData: { name, target } });
  const over = Promise.withResolvers<string | undefined>();
  worker.once('message', over.resolve);
  worker.once('error', (error) => over.resolve(String(error)));
  worker.once('exit', () => over.resolve('the attacker died'));
  try {
    return await over.promise;
  } finally {
    await worker.terminate();
  }
}

async function residentBytes(daemons: readonly number[]): Promise<readonly number[]> {
  return await Promise.all(daemons.map(async (pid) => (await memoryOf(pid)).residentBytes));
}

/** Returns the memory of the daemons once it has come back, or does not come back. */
async function recovered(daemons: readonly number[], before: readonly number[]): Promise<readonly number[]> {
  const deadline = performance.now() + recoveryMs;
  for (;;) {
    const now = await residentBytes(daemons);
    const { beforeBytes, afterBytes } = worstOf(before, now);
    if (afterBytes <= recoveredShare * beforeBytes || performance.now() > deadline) return now;
    await delay(200);
  }
}

function worstOf(before: readonly number[], after: readonly number[]): { beforeBytes: number; afterBytes: number } {
  const pairs = before.map((beforeBytes, index) => ({ beforeBytes, afterBytes: after[index] ?? beforeBytes }));
  return pairs.reduce((worst, pair) =>
    pair.afterBytes / pair.beforeBytes > worst.afterBytes / worst.beforeBytes ? pair : worst,
  );
}

function percentile95(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.POSITIVE_INFINITY;
}
