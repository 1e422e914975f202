import { setTimeout as delay } from 'node:timers/promises';

import type { Daemon } from './daemon.ts';
import type { Fault } from './fault.ts';
import type { Office } from './office.ts';
import { until } from './until.ts';

/** A fault that has happened, and is over or will be. */
export interface Happening {
  /** Name of its victim. */
  readonly victim: string;
  /** Resolves when a stopped process goes on, and an ended one runs again. Throws when something was left behind. */
  readonly over: Promise<void>;
}

/** Longest time for engines to end by themselves once their daemon is gone, in milliseconds. */
const orphanMs = 20_000;

/** Makes a fault happen to a member of the office. */
export async function applyFault(fault: Fault, office: Office, signal: AbortSignal): Promise<Happening> {
  if (fault.target === 'engine') {
    const engines = await office.engines();
    const { pid, daemon } = pick(engines, fault.share);
    const index = engines.filter((engine) => engine.daemon === daemon).findIndex((engine) => engine.pid === pid);
    return { victim: `engine ${index + 1} of ${daemon.name}`, over: strike(pid, fault, signal) };
  }
  const daemon = fault.target === 'peer' ? pick(office.peers, fault.share) : office.coordinator;
  return { victim: daemon.name, over: strikeDaemon(daemon, { fault, office, signal }) };
}

/** Stops a process for a while, or ends it. */
async function strike(pid: number, { signal: name, forMs }: Fault, signal: AbortSignal): Promise<void> {
  process.kill(pid, name);
  if (name !== 'SIGSTOP')
    return await until(() => !isAlive(pid), { timeoutMs: orphanMs, what: `process ${pid}`, signal });
  try {
    await delay(forMs, undefined, { signal });
  } finally {
    // It may have been given up and killed meanwhile.
    if (isAlive(pid)) process.kill(pid, 'SIGCONT');
  }
}

async function strikeDaemon(
  daemon: Daemon,
  { fault, office, signal }: { readonly fault: Fault; readonly office: Office; readonly signal: AbortSignal },
): Promise<void> {
  if (fault.signal === 'SIGSTOP') return await strike(daemon.pid, fault, signal);
  const engines = (await office.engines()).filter((engine) => engine.daemon === daemon);
  await daemon.end(fault.signal);
  const what = `an engine of ${daemon.name}, whose daemon has ended,`;
  await until(() => !engines.some(({ pid }) => isAlive(pid)), { timeoutMs: orphanMs, what, signal });
  await delay(fault.forMs, undefined, { signal });
  await daemon.start(signal);
}

function pick<Value>(values: readonly Value[], share: number): Value {
  const value = values[Math.floor(share * values.length)];
  if (value === undefined) throw new Error('there is nothing that the fault could happen to');
  return value;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
