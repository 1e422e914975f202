import { readdir, readFile } from 'node:fs/promises';

/** Processor time of a process's threads so far, in milliseconds. */
export interface CpuTime {
  readonly computedMs: number;
  /** Time in which they could have computed, but others had the core. */
  readonly waitedMs: number;
}

/** Reads the times of a process's threads, except those that have ended. Linux only. */
export async function cpuTimeOf(pid: number): Promise<CpuTime> {
  const directory = `/proc/${pid}/task`;
  const threads = await readdir(directory);
  // Threads come and go while one looks at them.
  const read = async (thread: string) => await readFile(`${directory}/${thread}/schedstat`, 'utf8').catch(() => '0 0');
  const times = (await Promise.all(threads.map(read))).map(parseSchedstat);
  return {
    computedMs: times.reduce((sum, { computedMs }) => sum + computedMs, 0),
    waitedMs: times.reduce((sum, { waitedMs }) => sum + waitedMs, 0),
  };
}

/** Parses the first two numbers of `/proc/<pid>/task/<thread>/schedstat`, which counts nanoseconds. */
export function parseSchedstat(schedstat: string): CpuTime {
  const [computed, waited] = schedstat.split(' ').map(Number);
  return { computedMs: (computed ?? 0) / 1e6, waitedMs: (waited ?? 0) / 1e6 };
}
