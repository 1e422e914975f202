import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { summarize } from '../detection/summary.ts';
import { applyFault } from './apply-fault.ts';
import { restore, statusOf, undeploy } from './arrangement.ts';
import { drawFaults, type Fault } from './fault.ts';
import { writeModels, type RunModel } from './models.ts';
import { startOffice, type Office } from './office.ts';
import { holdingsOf, processesOf, type Holdings } from './processes.ts';
import type { DaemonHoldings, FaultRecord, FaultReport, WrongText } from './report.ts';
import { runStreams, untilAnswered, type StreamOutcome } from './streams.ts';
import { until } from './until.ts';

export interface FaultsOptions {
  /** Number of faults, one after the other. */
  readonly faults: number;
  /** Seed of everything that is drawn. */
  readonly seed: number;
  /** Number of clients that ask all the time. Default 8. */
  readonly streams?: number;
  /** Least tokens of their answers; the most follow. Default 200 to 900, which takes some seconds. */
  readonly leastTokens?: number;
  readonly mostTokens?: number;
  readonly signal: AbortSignal;
  /** Called with each fault when it is over. */
  readonly onFault?: (record: FaultRecord, number: number) => void;
}

/** Longest time until everything works again after a fault, and until nothing is left at the end. */
const recoveryMs = 120_000;
const settleMs = 30_000;
/** Bound on the resources of a daemon that has worked, relative to those before the first fault. */
const memoryFactor = 1.5;
const memorySlackBytes = 64 * 1024 * 1024;
const descriptorSlack = 10;

/**
 * Kills, ends and freezes engines, peers and the coordinator of a mesh on this machine, one at a time, while clients
 * read texts that are known beforehand. Reports the losses, and the results that must not be. Linux only.
 */
export async function runFaults(options: FaultsOptions): Promise<FaultReport> {
  const { seed, signal, streams = 8, leastTokens = 200, mostTokens = 900 } = options;
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-faults-'));
  const directory = await realpath(temporary.path);
  const run = randomUUID();
  const crashes: string[] = [];
  const leaks: string[] = [];
  const models = await writeModels(directory);
  const data = join(directory, 'data');
  const parts = { directory: data, run, models, signal, onCrash: (crash: string) => void crashes.push(crash) };
  const ledger = new Ledger();
  let holdings: readonly DaemonHoldings[];
  {
    await using office = await startOffice(parts);
    const peers = office.peers.map(({ peer }) => peer);
    const arrangement = { url: office.url, peers, models };
    const arrange = async () => await restore(arrangement, bounded(signal, recoveryMs));
    await arrange();
    const enough = new AbortController();
    const lengths = { leastTokens, mostTokens };
    const wanted = { count: streams, url: office.url, models, seed, ...lengths, enough: enough.signal, signal };
    const asking = runStreams({ ...wanted, onOutcome: (outcome) => ledger.take(outcome) });
    // Each stream has been answered once.
    await until(() => ledger.streamsAnswered === streams, {
      timeoutMs: recoveryMs,
      what: 'a stream without an answer',
      signal,
    });
    const before = await holdingsNow(office);
    for (const [index, fault] of drawFaults(options.faults, seed).entries()) {
      const record = await suffer(fault, { office, models, ledger, arrange, seed: seed + index, signal });
      options.onFault?.(record, index + 1);
      if (record.failure !== undefined) break;
    }
    enough.abort();
    await asking;
    ledger.close();
    leaks.push(...(await emptied(office, run, signal)));
    const after = await holdingsNow(office);
    holdings = compareHoldings(office, before, after);
  }
  leaks.push(...excesses(holdings), ...(await leftovers(data, run, signal)));
  return { seed, streams, ...ledger.totals(), leaks, crashes, holdings };
}

interface Suffering {
  readonly office: Office;
  readonly models: readonly RunModel[];
  readonly ledger: Ledger;
  /** Restores everything. */
  readonly arrange: () => Promise<void>;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Makes a fault happen, and waits until each model answers and everything is as it was before. */
async function suffer(fault: Fault, parts: Suffering): Promise<FaultRecord> {
  const { office, models, ledger, arrange, seed, signal } = parts;
  await delay(fault.afterMs, undefined, { signal });
  const inTime = bounded(signal, recoveryMs);
  const { victim, over } = await applyFault(fault, office, signal);
  const struckMs = performance.now();
  const record = ledger.begin(fault, victim);
  // Both are waited for, whichever fails.
  const answering = models.map(async (model) => {
    const outcomes = await untilAnswered(office.url, { model, seed, signal: inTime });
    for (const outcome of outcomes) ledger.check(outcome, model.name);
    if (outcomes.at(-1)?.kind !== 'answered') {
      const errors = new Set(outcomes.map((outcome) => (outcome.kind === 'lost' ? outcome.error : outcome.kind)));
      throw new Error(`${model.name} did not answer for ${recoveryMs / 1000} s: ${[...errors].join(', ')}`);
    }
    record.nextAnswerMs[model.name] = Math.round(performance.now() - struckMs);
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

/** A record of the answers, fault by fault. */
class Ledger {
  readonly #records: OpenRecord[] = [];
  readonly #answeredStreams = new Set<number>();
  readonly #lostBefore: Record<string, number> = {};
  readonly #wrongTexts: WrongText[] = [];
  #answered = 0;
  #hung = 0;
  #cut = 0;
  #isClosed = false;

  /** Number of streams that have been answered at least once. */
  get streamsAnswered(): number {
    return this.#answeredStreams.size;
  }

  begin(fault: Fault, victim: string): OpenRecord {
    const record = { fault, victim, lost: {}, nextAnswerMs: {} };
    this.#records.push(record);
    return record;
  }

  take(outcome: StreamOutcome): void {
    this.check(outcome, outcome.model);
    if (outcome.kind === 'answered') {
      this.#answered += 1;
      this.#answeredStreams.add(outcome.stream);
    }
    if (outcome.kind !== 'lost') return;
    if (outcome.characters > 0) this.#cut += 1;
    const lost = this.#records.at(-1)?.lost ?? this.#lostBefore;
    lost[outcome.error] = (lost[outcome.error] ?? 0) + 1;
  }

  /** Checks an answer for results that must not be. */
  check(outcome: Omit<StreamOutcome, 'stream' | 'model'>, model: string): void {
    if (this.#isClosed) throw new Error('an answer came after the end of the run');
    if (outcome.kind === 'hung') this.#hung += 1;
    if (outcome.fault === undefined) return;
    this.#wrongTexts.push({ ...outcome.fault, model, afterFault: this.#records.length, ended: outcome.kind });
  }

  recordOf({ fault, victim, lost, nextAnswerMs, failure }: OpenRecord): FaultRecord {
    const { share: _, ...what } = fault;
    return { ...what, victim, lost: { ...lost }, nextAnswerMs, ...(failure !== undefined && { failure }) };
  }

  close(): void {
    this.#isClosed = true;
  }

  totals() {
    const faults = this.#records.map((record) => this.recordOf(record));
    const lostByError: Record<string, number> = {};
    for (const lost of [this.#lostBefore, ...faults.map((record) => record.lost)]) {
      for (const [error, count] of Object.entries(lost)) lostByError[error] = (lostByError[error] ?? 0) + count;
    }
    const byKind = Map.groupBy(faults, ({ signal, target }) => `${signal} ${target}`);
    const next = [...byKind].flatMap(([kind, records]) => {
      const times = records.flatMap((record) => Object.values(record.nextAnswerMs));
      return times.length === 0 ? [] : [[kind, summarize(times)] as const];
    });
    return {
      faults,
      answered: this.#answered,
      lost: Object.values(lostByError).reduce((sum, count) => sum + count, 0),
      cut: this.#cut,
      lostByError,
      hung: this.#hung,
      wrongTexts: this.#wrongTexts,
      nextAnswerMs: Object.fromEntries(next.sort(([one], [other]) => one.localeCompare(other))),
    };
  }
}

interface OpenRecord {
  readonly fault: Fault;
  readonly victim: string;
  readonly lost: Record<string, number>;
  readonly nextAnswerMs: Record<string, number>;
  failure?: string;
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
async function emptied({ url, engines }: Office, run: string, signal: AbortSignal): Promise<readonly string[]> {
  const inTime = bounded(signal, settleMs);
  const { deployments } = await statusOf(url, inTime);
  for (const { id } of deployments) await undeploy(id, url, inTime);
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
