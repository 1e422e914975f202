import { readdir, readFile } from 'node:fs/promises';

import { memoryOf, parentOf } from '../bench/memory.ts';

/** A process as `/proc` shows it. */
export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  /** Whether it computes a stage. */
  readonly isEngine: boolean;
}

/** Name of the environment variable that all processes of a run have, whoever has started them. */
export const runVariable = 'SKEIN_FAULTS_RUN';

/** Lists the living processes of a run, in the order of their ids. Linux only. */
export async function processesOf(run: string): Promise<readonly SeenProcess[]> {
  const found: SeenProcess[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // Processes come and go while one looks at them; the environment of one that has ended reads as empty.
    const read = async (name: string) => await readFile(`/proc/${entry}/${name}`, 'utf8').catch(() => '');
    if (!(await read('environ')).split('\0').includes(`${runVariable}=${run}`)) continue;
    const stat = await read('stat');
    if (stat === '') continue;
    const isEngine = (await read('cmdline')).includes('engine/child/main.ts');
    found.push({ pid: Number(entry), parent: parentOf(stat), isEngine });
  }
  return found.sort((one, other) => one.pid - other.pid);
}

/** The resources that a process holds. */
export interface Holdings {
  readonly residentBytes: number;
  /** Number of open files, sockets and pipes. */
  readonly descriptors: number;
}

/** Reads the resources that a process holds. Linux only. */
export async function holdingsOf(pid: number): Promise<Holdings> {
  const [{ residentBytes }, descriptors] = await Promise.all([memoryOf(pid), readdir(`/proc/${pid}/fd`)]);
  return { residentBytes, descriptors: descriptors.length };
}
