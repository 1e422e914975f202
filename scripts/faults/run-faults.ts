import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { applyFault } from './apply-fault.ts';
import { restore, statusOf, undeploy } from './arrangement.ts';
import type { Answer } from './client-messages.ts';
import { drawFaults, type Fault } from './fault.ts';
import { Ledger } from './ledger.ts';
import { writeModels, type RunModel } from './models.ts';
import { startOffice, type Office } from './office.ts';
import { consultOracle } from './oracle.ts';
import { holdingsOf, processesOf, type Holdings } from './processes.ts';
import type { DaemonHoldings, FaultRecord, FaultReport } from './report.ts';
import { drawRequests, type RunRequest } from './requests.ts';
import { canAsk, runStreams, untilAnswered } from './streams.ts';
import { until } from './until.ts';

export interface FaultsOptions {
  /** Time in which faults happen, one after the other, in minutes. */
  readonly minutes: number;
  /** Seed of everything that is drawn. */
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Called with each fault when it is over. */
  readonly onFault?: (record: FaultRecord, number: number) => void;
}

/** Number of clients that ask all the time. */
const streams = 8;
/** Bounds of the tokens of their answers, which take some seconds. */
const answerTokens = { leastTokens: 200, mostTokens: 600 };
/** Longest time until everything works again after a fault, and until nothing is left at the end. */
const recoveryMs = 120_000;
const settleMs = 30_000;
/** Share of the run's time that replays take at most. */
const replayShare = 0.25;
/** Bound on the resources of a daemon that has worked, relative to those before the first fault. */
const memoryFactor = 1.5;
const memorySlackBytes = 64 * 1024 * 1024;
const descriptorSlack = 10;

/**
 * Makes faults happen to a mesh in hosts of its own on this machine, one at a time, while clients read answers that are
 * known from the time before. Reports the losses, and the results that must not be. Needs what `createLan` does.
 */
export async function runFaults(options: FaultsOptions): Promise<FaultReport> {
  const { minutes, seed, signal } = options;
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-faults-'));
  const directory = await realpath(temporary.path);
  const run = randomUUID();
  const crashes: string[] = [];
  const leaks: string[] = [];
  const models = await writeModels(directory);
  const requests = drawRequests({ models: models.map(({ name }) => name), seed, ...answerTokens });
  const data = join(directory, 'data');
  const parts = { directory: data, run, models, signal, onCrash: (crash: string) => void crashes.push(crash) };
  await using office = await startOffice(parts);
  const peers = office.peers.map(({ peer }) => peer);
  const arrangement = { fetch: office.fetch, peers, models };
  const arrange = async () => await restore(arrangement, bounded(signal, recoveryMs));
  await arrange();
  const ledger = new Ledger(await faultFreeAnswers(office, requests, signal));
  const before = await holdingsNow(office);
  const enough = new AbortController();
  const { clients } = office;
  const asking = runStreams({
    count: streams,
    clients,
    requests,
    seed,
    enough: AbortSignal.any([enough.signal, signal]),
    onAnswer: (answer) => ledger.take(answer),
  });
  const deadlineMs = performance.now() + minutes * 60_000;
  let number = 0;
  for (const fault of drawFaults(seed)) {
    const record = await suffer(fault, { office, models, requests, ledger, arrange, signal });
    options.onFault?.(record, (number += 1));
    if (record.failure !== undefined || performance.now() > deadlineMs) break;
  }
  enough.abort();
  await asking;
  signal.throwIfAborted();
  const timeoutMs = replayShare * minutes * 60_000;
  const consultation = await consultOracle(office.clients[1], ledger, { timeoutMs, signal });
  leaks.push(...(await emptied(office, run, signal)));
  const holdings = compareHoldings(office, before, await holdingsNow(office));
  await office.stop();
  leaks.push(...excesses(holdings), ...(await leftovers(data, run, signal)));
  return { seed, streams, ...ledger.totals(), ...consultation, leaked: leaks.length, leaks, crashes, holdings };
}

/** Asks everything once, several requests at a time. */
async function faultFreeAnswers(
  { clients }: Office,
  requests: readonly RunRequest[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Answer>> {
  const answers = new Map<number, Answer>();
  const open = requests.entries();
  const work = async (): Promise<void> => {
    for (const [index, request] of open) {
      signal.throwIfAborted();
      const able = clients.filter((client) => canAsk(client, request));
      const client = able[index % able.length];
      if (client === undefined) throw new Error('a run without clients');
      const answer = await client.ask(request);
      if (answer.end !== 'complete') {
        const why = answer.error === undefined ? answer.end : `${answer.error.code}: ${answer.error.message}`;
        throw new Error(`a request (${request.kind}) failed before the first fault: ${why}`);
      }
      answers.set(request.id, answer);
    }
  };
  await Promise.all(Array.from({ length: streams }, work));
  return answers;
}

interface Suffering {
  readonly office: Office;
  readonly models: readonly RunModel[];
  readonly requests: readonly RunRequest[];
  readonly ledger: Ledger;
  /** Restores everything. */
  readonly arrange: () => Promise<void>;
  readonly signal: AbortSignal;
}

/** Makes a fault happen, and waits until each model answers and everything is as it was before. */
async function suffer(fault: Fault, parts: Suffering): Promise<FaultRecord> {
  const { office, models, requests, ledger, arrange, signal } = parts;
  await delay(fault.afterMs, undefined, { signal });
  const inTime = bounded(signal, recoveryMs);
  const struckMs = performance.now();
  const { victim, over } = await applyFault(fault, office, signal);
  const record = ledger.begin(fault, victim);
  // Both are waited for, whichever fails.
  const answering = models.map(async ({ name }) => {
    const first = requests.find(({ model }) => model === name);
    if (first === undefined) throw new Error(`nobody asks ${name}`);
    await untilAnswered(office.clients[0], { ...first, settings: { ...first.settings, maxTokens: 8 } }, inTime);
    record.nextAnswerMs[name] = Math.round(performance.now() - struckMs);
  });
  try {
    const results = await Promise.allSettled([over, ...answering]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    await arrange();
  } catch (error) {
    signal.throwIfAborted();
    record.failure = error instanceof Error ? error.message : String(error);
  }
  return ledger.recordOf(record);
}

function bounded(signal: AbortSignal, timeoutMs: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
}

function daemonsOf({ coordinator, peers }: Office) {
  return [coordinator, ...peers];
}

async function holdingsNow(office: Office): Promise<readonly Holdings[]> {
  return await Promise.all(daemonsOf(office).map(async ({ pid }) => await holdingsOf(pid)));
}

/** Takes everything down; returns the remains. */
async function emptied({ fetch, engines }: Office, run: string, signal: AbortSignal): Promise<readonly string[]> {
  const inTime = bounded(signal, settleMs);
  const { deployments } = await statusOf(fetch, inTime);
  for (const { id } of deployments) await undeploy(id, fetch, inTime);
  try {
    await until(async () => (await engines()).length === 0, { timeoutMs: settleMs, what: 'an engine', signal });
    return [];
  } catch (error) {
    signal.throwIfAborted();
    const left = (await processesOf(run)).filter(({ isEngine }) => isEngine);
    return [`${left.length} engines without a deployment (${String(error)})`];
  }
}

function compareHoldings(office: Office, before: readonly Holdings[], after: readonly Holdings[]): DaemonHoldings[] {
  return daemonsOf(office).map(({ name }, index) => ({
    daemon: name,
    warmBytes: before[index]?.residentBytes ?? Number.NaN,
    endBytes: after[index]?.residentBytes ?? Number.NaN,
    warmDescriptors: before[index]?.descriptors ?? Number.NaN,
    endDescriptors: after[index]?.descriptors ?? Number.NaN,
  }));
}

function excesses(holdings: readonly DaemonHoldings[]): readonly string[] {
  return holdings.flatMap(({ daemon, warmBytes, endBytes, warmDescriptors, endDescriptors }) => [
    ...(endBytes > warmBytes * memoryFactor + memorySlackBytes
      ? [`${daemon} holds ${endBytes} bytes where it held ${warmBytes} before the first fault`]
      : []),
    ...(endDescriptors > warmDescriptors + descriptorSlack
      ? [`${daemon} has ${endDescriptors} open descriptors where it had ${warmDescriptors} before the first fault`]
      : []),
  ]);
}

/** Lists processes and files that are left after every daemon was stopped in order. */
async function leftovers(data: string, run: string, signal: AbortSignal): Promise<readonly string[]> {
  const found: string[] = [];
  const processes = async () => await processesOf(run);
  try {
    await until(async () => (await processes()).length === 0, { timeoutMs: settleMs, what: 'a process', signal });
  } catch {
    signal.throwIfAborted();
    found.push(...(await processes()).map(({ pid, isEngine }) => `process ${pid}${isEngine ? ', an engine' : ''}`));
  }
  const files = await readdir(data, { recursive: true });
  return [...found, ...files.filter((file) => /sock|partial|tmp|\.new$/.test(file)).map((file) => `file ${file}`)];
}
