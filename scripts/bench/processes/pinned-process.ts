import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import { hasCode } from '@skein/protocol';

const stopTimeoutMs = 15_000;
const keptLines = 12;

/** A program that runs on some cores only, with all its children. Disposing ends it. */
export interface PinnedProcess extends AsyncDisposable {
  readonly pid: number;
  readonly stdin: Writable;
  /** Lines of its output, each given once. None where its output is ignored. */
  readonly lines: AsyncIterator<string>;
  /** Rejects when the process ends before it is disposed, with its last lines on stderr. Never resolves. */
  readonly failure: Promise<never>;
}

export interface PinnedOptions {
  /** Name for error messages. */
  readonly name: string;
  readonly command: string;
  readonly commandLine: readonly string[];
  /** Cores on which the operating system may run it. */
  readonly cores: readonly number[];
  /** The way to end it: a signal, or the end of its input. */
  readonly stop: 'signal' | 'end-of-input';
  /** Whether its lines are read: output that is neither read nor ignored would block it in the end. */
  readonly output: 'lines' | 'ignored';
}

/** Starts a program on some cores. It may end at once: race your awaits with its `failure`. */
export function startPinned({ name, command, commandLine, cores, stop, output }: PinnedOptions): PinnedProcess {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    'taskset',
    ['--cpu-list', cores.join(), command, ...commandLine],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const last: string[] = [];
  createInterface(child.stderr).on('line', (line) => {
    last.push(line);
    if (last.length > keptLines) last.shift();
  });
  // One that is gone can't be told anything.
  child.stdin.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${explain(error)}`));
    child.once('close', (code, signal) => resolve(`ended with ${signal ?? `exit code ${code}`}`));
  });
  const failure = closed.then((how): never => {
    throw new Error([`${name} ${how}`, ...last].join('\n'));
  });
  failure.catch(() => undefined);
  return {
    // A program that could not be started has none, and nobody gets to use it.
    pid: child.pid ?? -1,
    stdin: child.stdin,
    lines: output === 'lines' ? createInterface(child.stdout)[Symbol.asyncIterator]() : ignoredLines(child.stdout),
    failure,
    async [Symbol.asyncDispose]() {
      if (stop === 'signal') child.kill();
      child.stdin.end();
      const killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      await closed;
      clearTimeout(killer);
    },
  };
}

/** Runs a program to its end and returns the last line of its output. */
export async function runPinned(
  options: Omit<PinnedOptions, 'stop' | 'output'> & { readonly signal: AbortSignal },
): Promise<string> {
  options.signal.throwIfAborted();
  const child = spawn('taskset', ['--cpu-list', options.cores.join(), options.command, ...options.commandLine], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: options.signal,
  });
  const printed: string[] = [];
  const said: string[] = [];
  createInterface(child.stdout).on('line', (line) => printed.push(line));
  createInterface(child.stderr).on('line', (line) => said.push(line));
  const [code] = (await once(child, 'close').catch((error: unknown) => {
    options.signal.throwIfAborted();
    throw new Error(`${options.name} could not be started: ${explain(error)}`, { cause: error });
  })) as [number | null];
  if (code !== 0) throw new Error([`${options.name} failed`, ...said.slice(-keptLines)].join('\n'));
  return printed.at(-1) ?? '';
}

function ignoredLines(output: Readable): AsyncIterator<string> {
  output.resume();
  return { next: async () => ({ done: true, value: undefined }) };
}

function explain(error: unknown): string {
  if (hasCode(error, 'ENOENT')) {
    return 'taskset is missing; the benchmarks need Linux with util-linux';
  }
  return error instanceof Error ? error.message : String(error);
}
