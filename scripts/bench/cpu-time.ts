import { readdir, readFile } from 'node:fs/promises';

/** Milliseconds that a process's threads have computed, those of threads that have ended not counted. Linux only. */
export async function cpuMsOf(pid: number): Promise<number> {
  const directory = `/proc/${pid}/task`;
  const threads = await readdir(directory);
  // Threads come and go while one looks at them.
  const read = async (thread: string) => await readFile(`${directory}/${thread}/schedstat`, 'utf8').catch(() => '0');
  return (await Promise.all(threads.map(read))).reduce((sum, schedstat) => sum + parseSchedstat(schedstat), 0);
}

/** The first number of `/proc/<pid>/task/<thread>/schedstat`, which counts nanoseconds, in milliseconds. */
export function parseSchedstat(schedstat: string): number {
  return Number(schedstat.split(' ')[0]) / 1e6;
}
