import { readdir, readFile } from 'node:fs/promises';

/** A process's memory according to Linux, in bytes. */
export interface ProcessMemory {
  /** Resident memory of all kinds, now. */
  readonly residentBytes: number;
  /** Greatest resident memory so far. */
  readonly peakBytes: number;
}

/** Reads the memory of a process. Linux only. */
export async function memoryOf(pid: number): Promise<ProcessMemory> {
  return parseStatus(await readFile(`/proc/${pid}/status`, 'utf8'));
}

/**
 * Parses the text of `/proc/<pid>/status`.
 *
 * @throws Error when a field is missing, as on other systems
 */
export function parseStatus(status: string): ProcessMemory {
  const field = (name: string): number => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kibibytes === undefined) throw new Error(`/proc says nothing of ${name}; memory is measured on Linux only`);
    return Number(kibibytes) * 1024;
  };
  return {
    residentBytes: field('RssAnon') + field('RssFile') + field('RssShmem'),
    peakBytes: field('VmHWM'),
  };
}

/**
 * Finds the process of the one engine that a daemon runs now.
 *
 * @throws Error when there is none
 */
export async function engineOf(daemonPid: number): Promise<number> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // Processes come and go while one looks at them.
    const read = async (name: string) => await readFile(`/proc/${entry}/${name}`, 'utf8').catch(() => '');
    if (parentOf(await read('stat')) !== daemonPid) continue;
    if ((await read('cmdline')).includes('engine/child/main.ts')) return Number(entry);
  }
  throw new Error(`the daemon ${daemonPid} runs no engine`);
}

/**
 * Parses the parent's process id, the fourth field of `/proc/<pid>/stat`; the second is a name that may hold blanks and
 * brackets.
 */
export function parentOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
