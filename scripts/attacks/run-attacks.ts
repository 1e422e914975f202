import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { withPeerId } from '@skein/mesh';
import type { Logger } from '@skein/protocol';

import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { tinyModelFile } from '../cluster/models.ts';
import type { Attack, Target } from './attack.ts';
import { certificates } from './cases/certificates.ts';
import { joining } from './cases/joining.ts';
import { members } from './cases/members.ts';
import { placing } from './cases/placing.ts';
import { transport } from './cases/transport.ts';

export interface AttackOutcome {
  readonly name: string;
  /** The attack's gain, or the lack of a trace in the log; undefined when it was refused. */
  readonly failure: string | undefined;
}

export interface AttackReport {
  readonly cases: number;
  readonly refused: number;
  /** Whether the mesh has answered all requests meanwhile. */
  readonly servedThroughout: boolean;
  /** Number of answers given meanwhile. */
  readonly answers: number;
  readonly outcomes: readonly AttackOutcome[];
}

/**
 * All attacks, in an order that matters: the last of `joining` uses up the attempts that one host has in a minute, and
 * one of `transport` makes an attempt, too.
 */
const attacks: readonly Attack[] = [...certificates, ...members, ...placing, ...joining, ...transport];

/** Runs all attacks on a mesh, or those with `only` in their names, while it answers prompts, and reports the results. */
export async function runAttacks(options: {
  readonly signal: AbortSignal;
  /** Part of the names of those to run. Default: all. */
  readonly only?: string | undefined;
  readonly onOutcome?: (outcome: AttackOutcome) => void;
}): Promise<AttackReport> {
  const { only = '' } = options;
  const chosen = attacks.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) return { cases: 0, refused: 0, servedThroughout: true, answers: 0, outcomes: [] };
  const log: string[] = [];
  await using model = await tinyModelFile();
  await using data = await mkdtempDisposable(join(tmpdir(), 'skein-attacks-'));
  const places = { peers: 1, models: [model.path], directory: data.path };
  await using cluster = await startCluster({ ...places, logger: recorder(log) });
  const over = new AbortController();
  const service = serveMeanwhile(cluster, AbortSignal.any([options.signal, over.signal]));
  const outcomes: AttackOutcome[] = [];
  for (const attack of chosen) {
    options.signal.throwIfAborted();
    const outcome = await attempt(attack, targetOf(cluster, options.signal), log);
    outcomes.push(outcome);
    options.onOutcome?.(outcome);
  }
  over.abort();
  const { answers, failures } = await service;
  return {
    cases: outcomes.length,
    refused: outcomes.filter(({ failure }) => failure === undefined).length,
    servedThroughout: answers > 0 && failures === 0,
    answers,
    outcomes,
  };
}

async function attempt(attack: Attack, target: Target, log: string[]): Promise<AttackOutcome> {
  const { name, logged } = attack;
  const from = log.length;
  try {
    await attack.run(target);
  } catch (error) {
    return { name, failure: error instanceof Error ? error.message : String(error) };
  }
  const isLogged = logged === undefined || (await seen(() => log.slice(from).some((line) => logged.test(line))));
  return { name, failure: isLogged ? undefined : 'refused, but the log says nothing of it' };
}

/**
 * Waits until a condition holds. The log is written when the mesh has closed its end, which may be after the attacker
 * has noticed.
 */
async function seen(isSo: () => boolean): Promise<boolean> {
  const deadline = performance.now() + 5000;
  while (!isSo() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  return isSo();
}

function targetOf({ authority, coordinatorMesh, peers }: Cluster, signal: AbortSignal): Target {
  const addresses = coordinatorMesh.addresses();
  return {
    authority,
    peerId: coordinatorMesh.peerId,
    addresses: addresses.map((address) => withPeerId(address, coordinatorMesh.peerId)),
    port: Number(/\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1]),
    victim: peers[0]?.mesh.peerId ?? '',
    servingAddresses: peers.flatMap(({ mesh }) => mesh.addresses().map((address) => withPeerId(address, mesh.peerId))),
    members: () => coordinatorMesh.cards.snapshot(),
    signal,
  };
}

/** Pause between the answers that are asked for meanwhile, in milliseconds. */
const pauseMs = 25;

/** Sends requests to the coordinator again and again until the signal aborts. */
async function serveMeanwhile(
  { coordinator, coordinatorMesh }: Cluster,
  signal: AbortSignal,
): Promise<{ answers: number; failures: number }> {
  const { url } = coordinator;
  const [name = ''] = coordinatorMesh.cards.snapshot().flatMap((card) => card.models.map((model) => model.name));
  let [answers, failures] = [0, 0];
  // Not without a pause: attacks that wait for a deadline would keep a processor busy with nothing but these.
  for (; !signal.aborted; await delay(pauseMs)) {
    try {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: name, prompt: 'once upon', max_tokens: 4 }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(20_000)]),
      });
      await response.text();
      if (response.ok) answers += 1;
      else failures += 1;
    } catch (error) {
      if (signal.aborted) break;
      failures += 1;
      void error;
    }
  }
  return { answers, failures };
}

/** Makes a logger that records all lines, at every level. */
function recorder(lines: string[]): Logger {
  const write = (fields: object, message?: string): void => {
    const said = Object.entries(fields).map(
      ([key, value]) => `${key}=${value instanceof Error ? value.message : String(value)}`,
    );
    lines.push(`${message ?? ''} ${said.join(' ')}`);
  };
  return { debug: write, info: write, warn: write, error: write };
}
