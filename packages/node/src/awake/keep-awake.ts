import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';

import type { Logger } from '@skein/protocol';

/** A program that keeps the machine awake for as long as it runs, with its arguments. */
export type Inhibitor = readonly [program: string, ...arguments: string[]];

/**
 * Returns the ways of a platform to stay awake until a process ends, the best first; each ends by itself with that
 * process, whatever happens to ours. On Windows none: there the process says so itself, see `stayAwake`.
 */
export function inhibitors(platform: NodeJS.Platform, pid: number): readonly Inhibitor[] {
  switch (platform) {
    case 'darwin':
      return [['/usr/bin/caffeinate', '-i', '-w', `${pid}`]];
    case 'linux':
      // Some desktops ask nobody but logind whether they may sleep, and some users, say by ssh, may not forbid sleep.
      return ['idle:sleep', 'idle'].map((what) => [
        'systemd-inhibit',
        `--what=${what}`,
        '--who=Skein',
        '--why=serves a model',
        '--mode=block',
        'tail',
        `--pid=${pid}`,
        '--follow',
        '/dev/null',
      ]);
    default:
      return [];
  }
}

/**
 * Keeps this machine awake by the first of these ways that works, until the process ends that they wait for. Warns when
 * none works; there is nothing to undo.
 */
export async function keepAwake(ways: readonly Inhibitor[], logger: Logger): Promise<void> {
  let reason = '';
  for (const [program, ...given] of ways) {
    try {
      const failure = await inhibit(program, given);
      if (failure === undefined) return;
      reason = `${program}: ${failure}`;
    } catch (error) {
      reason = `${program}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  if (reason !== '')
    logger.warn({ reason }, 'this machine may go to sleep while it serves: it could not be told not to');
}

/**
 * Runs a program until it ends, and returns its reason when it failed.
 *
 * @throws Error when it can't be started
 */
async function inhibit(program: string, given: readonly string[]): Promise<string | undefined> {
  const inhibitor = spawn(program, given, { stdio: ['ignore', 'ignore', 'pipe'], windowsHide: true });
  const output = inhibitor.stderr as Socket;
  // It outlives the engine by a moment, and must not hold the daemon.
  inhibitor.unref();
  output.unref();
  let said = '';
  output.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-200)));
  const [code] = (await once(inhibitor, 'close')) as [number | null];
  return code === 0 || code === null ? undefined : said.trim() || `exit code ${code}`;
}
