import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Moves this process, the client of the measured ones, to some cores, with all its threads. */
export async function moveToCores(cores: readonly number[]): Promise<void> {
  await promisify(execFile)('taskset', ['--all-tasks', '--cpu-list', '--pid', cores.join(), String(process.pid)]);
}
