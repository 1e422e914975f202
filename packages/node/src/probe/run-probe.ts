import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { invariant, onAbort } from '@skein/protocol';

import { startedLine } from './answer-probe.ts';
import { withoutDebugger } from './without-debugger.ts';

/**
 * Longest waits for a probe, in milliseconds. A machine may be slow (emulated, busy, with a scanner of files or a slow
 * card for a disk) and is not to be taken for one that hangs. So the time for the attempt follows from what this machine
 * has just taken to start the program, in which no foreign library has a part.
 */
export interface ProbeLimits {
  /** For the program to start. */
  readonly startMs: number;
  /** For the attempt, at least. */
  readonly attemptMs: number;
  /** For the attempt, as a multiple of what the start took. */
  readonly attemptPerStart: number;
}

export interface ProbeOptions {
  /** Program of the process, which calls `answerProbe`. */
  readonly script: URL;
  readonly arguments: readonly string[];
  /** Options of Node. Default: none. */
  readonly nodeOptions?: readonly string[] | undefined;
  /** Default: that of this process. */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: 15 minutes to start; for the attempt a minute, or ten times what the start took. */
  readonly limits?: ProbeLimits | undefined;
}

/** The end of a probe: with an answer, late, or with neither. */
export type ProbeResult =
  | { readonly type: 'answered'; readonly answer: string }
  | { readonly type: 'late'; readonly phase: 'start' | 'attempt'; readonly limitMs: number }
  | { readonly type: 'ended'; readonly by: NodeJS.Signals | number; readonly errors: string };

const defaultLimits: ProbeLimits = { startMs: 900_000, attemptMs: 60_000, attemptPerStart: 10 };
/** Most characters of an answer, and of errors. */
const maxCharacters = 1024 * 1024;
const tooLong: ProbeResult = { type: 'ended', by: 'SIGKILL', errors: 'Error: its answer is too long' };
const loader = new URL('../../loader/register.js', import.meta.url).href;

/**
 * Tries something in a process of its own, since it may crash or hang.
 *
 * @throws the reason of the signal
 */
export async function runProbe(options: ProbeOptions): Promise<ProbeResult> {
  const { script, signal, environment = process.env, limits = defaultLimits } = options;
  signal?.throwIfAborted();
  const nodeOptions = [...(options.nodeOptions ?? []), `--import=${loader}`];
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...nodeOptions, fileURLToPath(script), ...options.arguments], {
    env: { ...environment, ...withoutDebugger },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  const result = Promise.withResolvers<ProbeResult>();
  // Resolves without waiting for the process: one that hangs in a driver can't be ended.
  const giveUp = (reached: ProbeResult): void => {
    child.kill('SIGKILL');
    child.unref();
    child.stdout.destroy();
    child.stderr.destroy();
    result.resolve(reached);
  };
  using _abort = onAbort(signal, () => {
    result.reject(signal?.reason);
    giveUp(tooLong);
  });
  const allow = (phase: 'start' | 'attempt', limitMs: number): NodeJS.Timeout =>
    setTimeout(() => giveUp({ type: 'late', phase, limitMs }), limitMs);
  let timer = allow('start', limits.startMs);
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const hadStarted = output.startsWith(startedLine);
    output += text;
    if (output.length > maxCharacters) return giveUp(tooLong);
    if (hadStarted || !output.startsWith(startedLine)) return;
    clearTimeout(timer);
    timer = allow('attempt', attemptLimitMs(performance.now() - startedAt, limits));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-maxCharacters);
  });
  child.once('error', (error) => result.resolve({ type: 'ended', by: -1, errors: String(error) }));
  child.once('close', (code, name) => {
    const by = invariant(name ?? code, 'a process ends with a code or by a signal');
    const answer = output.startsWith(startedLine) ? output.slice(startedLine.length) : output;
    result.resolve(by === 0 ? { type: 'answered', answer } : { type: 'ended', by, errors });
  });
  return await result.promise.finally(() => clearTimeout(timer));
}

/** Returns the longest time for the attempt of a probe that took `startMs` to start, in milliseconds. */
function attemptLimitMs(startMs: number, limits: ProbeLimits): number {
  return Math.max(limits.attemptMs, startMs * limits.attemptPerStart);
}
