import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { onAbort } from '@skein/protocol';

const skein = fileURLToPath(new URL('../../packages/cli/bin/skein.js', import.meta.url));
const stopTimeoutMs = 15_000;

/** One simulated machine: a name, and a data directory of its own. */
export interface Machine {
  readonly name: string;
  readonly data: string;
  /** Starts a program there. Default: on this machine itself. */
  readonly run?: (command: string, commandLine: readonly string[]) => ChildProcessWithoutNullStreams;
}

export interface CommandOptions {
  readonly machine: Machine;
  /** Ends the command. */
  readonly signal: AbortSignal;
}

/**
 * Runs a command that prints JSON, and returns the value.
 *
 * @throws Error with the command's own last line when it fails
 */
export async function runSkein(commandLine: readonly string[], options: CommandOptions): Promise<unknown> {
  const { code, output, lastLine } = await runToEnd(commandLine, options);
  if (code !== 0) throw new Error(lastLine);
  return JSON.parse(output);
}

/** Runs a command that prints JSON and gives its verdict as exit code. */
export async function askSkein(
  commandLine: readonly string[],
  options: CommandOptions,
): Promise<{ readonly code: number | null; readonly answer: unknown }> {
  const { code, output } = await runToEnd(commandLine, options);
  return { code, answer: JSON.parse(output) };
}

async function runToEnd(
  commandLine: readonly string[],
  options: CommandOptions,
): Promise<{ readonly code: number | null; readonly output: string; readonly lastLine: string }> {
  const child = spawnSkein(commandLine, options);
  const kill = () => child.kill();
  using _abort = onAbort(options.signal, kill);
  const lastLine = followErrors(child, options);
  const [output, [code]] = await Promise.all([
    text(child.stdout),
    once(child, 'close') as Promise<[code: number | null]>,
  ]);
  options.signal.throwIfAborted();
  return { code, output, lastLine: lastLine() };
}

/** A daemon in a process of its own. Disposing stops it in order; it also stops when this process is gone. */
export interface RunningSkein extends AsyncDisposable {
  /** Facts that it printed about itself. */
  readonly facts: unknown;
}

/**
 * Starts `up` or `join`, and waits until it is up.
 *
 * @throws Error with the command's own last line when it gives up
 */
export async function startSkein(commandLine: readonly string[], options: CommandOptions): Promise<RunningSkein> {
  const child = spawnSkein([...commandLine, '--parent-lifeline'], options);
  const lastLine = followErrors(child, options);
  const closed = once(child, 'close');
  const stop = async () => {
    child.stdin.end();
    const killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await closed;
    clearTimeout(killer);
  };
  const printed = once(createInterface(child.stdout), 'line', { signal: options.signal });
  const gaveUp = closed.then(() => Promise.reject(new Error(lastLine())));
  try {
    const [line] = await Promise.race([printed, gaveUp]);
    const facts: unknown = JSON.parse(String(line));
    // A command that gives up says why as JSON, too, before it ends.
    if (typeof facts === 'object' && facts !== null && 'error' in facts) await gaveUp;
    return { facts, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    options.signal.throwIfAborted();
    throw error;
  } finally {
    // It ends some day; by then nobody waits for this.
    gaveUp.catch(() => undefined);
    printed.catch(() => undefined);
  }
}

function spawnSkein(commandLine: readonly string[], { machine }: CommandOptions): ChildProcessWithoutNullStreams {
  const { run = spawn, data } = machine;
  const child = run(process.execPath, [skein, ...commandLine, '--json', '--data', data]);
  // Ctrl-C reaches the children as well; one that is gone already can't be told anything.
  child.stdin.on('error', () => undefined);
  return child;
}

/**
 * Returns a function that gives the last line on stderr so far: there a failed command prints its reason, after its
 * progress.
 */
function followErrors(child: ChildProcessWithoutNullStreams, { machine }: CommandOptions): () => string {
  let last = 'ended without saying why';
  createInterface(child.stderr).on('line', (line) => (last = line));
  return () => `${machine.name}: ${last}`;
}
