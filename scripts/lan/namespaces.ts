import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { execute } from './execute.ts';

const prefix = 'skein-lan';
const pattern = new RegExp(`^${prefix}-(?<pid>\\d+)-(?<startedAt>\\d+)-`);
const killTimeoutMs = 10_000;

let made = 0;

/**
 * Makes unique names for network namespaces, one for each part. They tell which process made them: its id, and its
 * start, since ids are used again.
 */
export async function newNames(parts: readonly string[]): Promise<string[]> {
  const serial = made++;
  const startedAt = await startTimeOf(process.pid);
  return parts.map((part) => `${prefix}-${process.pid}-${startedAt}-${serial}-${part}`);
}

/** Returns the path by which a namespace is entered. */
export function pathOf(namespace: string): string {
  return `/var/run/netns/${namespace}`;
}

/** Lists all our namespaces on this machine, whoever made them. */
export async function listNamespaces(): Promise<string[]> {
  const lines = (await execute('ip', ['netns', 'list'])).split('\n');
  return lines.map((line) => line.split(' ')[0] ?? '').filter((name) => pattern.test(name));
}

/** Ends all processes in namespaces, and removes these. Skips missing ones. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const existing = new Set(await listNamespaces());
  await Promise.all(
    names
      .filter((name) => existing.has(name))
      .map(async (name) => {
        await killAllIn(name);
        await execute('ip', ['netns', 'delete', name]).catch(async (error: unknown) => {
          // Somebody else may clean up as well.
          if ((await listNamespaces()).includes(name)) throw error;
        });
      }),
  );
}

/** Removes the namespaces of processes that are gone. */
export async function removeLeftovers(): Promise<void> {
  const leftovers: string[] = [];
  for (const name of await listNamespaces()) {
    const { pid, startedAt } = pattern.exec(name)?.groups ?? {};
    if ((await startTimeOf(Number(pid))) !== startedAt) leftovers.push(name);
  }
  await removeNamespaces(leftovers);
}

/** Lists the ids of the processes in a namespace; none when it is missing. */
export async function processesIn(namespace: string): Promise<number[]> {
  const printed = await execute('ip', ['netns', 'pids', namespace]).catch(() => '');
  return printed.split('\n').filter(Boolean).map(Number);
}

async function killAllIn(namespace: string): Promise<void> {
  const signal = AbortSignal.timeout(killTimeoutMs);
  for (let pids = await processesIn(namespace); pids.length > 0; pids = await processesIn(namespace)) {
    signal.throwIfAborted();
    for (const pid of pids) kill(pid);
    await delay(10);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** Returns the start of a process, in clock ticks since the machine's; undefined when there is none with this id. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the command in parentheses, and may hold anything; the start is the 22nd.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
