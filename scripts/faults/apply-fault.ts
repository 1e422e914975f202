import { setTimeout as delay } from 'node:timers/promises';

import type { LanHost } from '../lan/host.ts';
import type { Daemon } from './daemon.ts';
import type { Fault } from './fault.ts';
import type { Office } from './office.ts';
import { until } from './until.ts';

/** A fault that has happened, and is over or will be. */
export interface Happening {
  /** Name of its victim. */
  readonly victim: string;
  /** Resolves when it is over, and an ended process runs again. Throws when something was left behind. */
  readonly over: Promise<void>;
}

/** Longest time for engines to end by themselves once their daemon is gone, in milliseconds. */
const orphanMs = 20_000;
const delayMs = 100;

const signals = { kill: 'SIGKILL', end: 'SIGTERM', freeze: 'SIGSTOP' } as const;

/** Makes a fault happen to a member of the office. */
export async function applyFault(fault: Fault, office: Office, signal: AbortSignal): Promise<Happening> {
  const { action, target, share, forMs } = fault;
  const daemon = target === 'coordinator' ? office.coordinator : pick(office.peers, share);
  const { host } = daemon;
  const passing = (begin: () => Promise<void>, end: () => Promise<void>) => lasting({ begin, end, forMs, signal });
  switch (action) {
    case 'kill':
    case 'end':
    case 'freeze': {
      if (target === 'engine') return await strikeEngine(fault, office, signal);
      if (action === 'freeze') return { victim: daemon.name, over: strike(daemon.pid, fault, signal) };
      return { victim: daemon.name, over: endDaemon(daemon, { fault, office, signal }) };
    }
    case 'unplug': {
      const over = passing(
        async () => await host.unplug(),
        async () => await host.plug(),
      );
      return { victim: daemon.name, over };
    }
    case 'cut': {
      // Both of them reach each other without the relay.
      const [one, other] = office.peers.filter((peer) => peer !== office.remote).map((peer) => peer.host);
      if (one === undefined || other === undefined) throw new Error('an office of two peers');
      const each = async (act: (from: LanHost, to: LanHost) => Promise<void>) => {
        await Promise.all([act(one, other), act(other, one)]);
      };
      const over = passing(
        async () => await each(async (from, to) => await from.drop(to.address)),
        async () => await each(async (from, to) => await from.undrop(to.address)),
      );
      return { victim: 'two peers', over };
    }
    case 'delay': {
      const over = passing(
        async () => await office.relay.set({ delayMs }),
        async () => await office.relay.set({ delayMs: 0 }),
      );
      return { victim: office.remote.name, over };
    }
    case 'fill': {
      const disk = office.disk(daemon);
      const over = passing(
        async () => await disk.fill(),
        async () => await disk.empty(),
      );
      return { victim: daemon.name, over };
    }
  }
}

/** Begins something, and ends it after a while, even when it is given up. */
async function lasting(options: {
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
  readonly forMs: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  await options.begin();
  try {
    await delay(options.forMs, undefined, { signal: options.signal });
  } finally {
    await options.end();
  }
}

async function strikeEngine(fault: Fault, office: Office, signal: AbortSignal): Promise<Happening> {
  const engines = await office.engines();
  const { pid, daemon } = pick(engines, fault.share);
  const index = engines.filter((engine) => engine.daemon === daemon).findIndex((engine) => engine.pid === pid);
  return { victim: `engine ${index + 1} of ${daemon.name}`, over: strike(pid, fault, signal) };
}

/** Stops a process for a while, or ends it. */
async function strike(pid: number, { action, forMs }: Fault, signal: AbortSignal): Promise<void> {
  const send = (name: NodeJS.Signals) => void process.kill(pid, name);
  if (action !== 'freeze') {
    send(signalOf(action));
    return await until(() => !isAlive(pid), { timeoutMs: orphanMs, what: `process ${pid}`, signal });
  }
  await lasting({
    begin: async () => send(signals.freeze),
    // It may have been given up and killed meanwhile.
    end: async () => void (isAlive(pid) && send('SIGCONT')),
    forMs,
    signal,
  });
}

async function endDaemon(
  daemon: Daemon,
  { fault, office, signal }: { readonly fault: Fault; readonly office: Office; readonly signal: AbortSignal },
): Promise<void> {
  const engines = (await office.engines()).filter((engine) => engine.daemon === daemon);
  await daemon.end(signalOf(fault.action));
  const what = `an engine of ${daemon.name}, whose daemon has ended,`;
  await until(() => !engines.some(({ pid }) => isAlive(pid)), { timeoutMs: orphanMs, what, signal });
  await delay(fault.forMs, undefined, { signal });
  await daemon.start(signal);
}

function signalOf(action: Fault['action']): 'SIGKILL' | 'SIGTERM' {
  return action === 'kill' ? signals.kill : signals.end;
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
