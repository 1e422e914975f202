import { fileURLToPath } from 'node:url';

import { untilAborted } from '@skein/mesh';

import { runPinned, startPinned, type PinnedProcess } from './pinned-process.ts';

const skein = fileURLToPath(new URL('../../../packages/cli/bin/skein.js', import.meta.url));

export interface SkeinOptions {
  readonly cores: readonly number[];
  /** Data directory. */
  readonly data: string;
  readonly signal: AbortSignal;
}

/** Runs a `skein` command that prints JSON, and returns the value. */
export async function runSkein(commandLine: readonly string[], options: SkeinOptions): Promise<unknown> {
  const printed = await runPinned({ ...commandOf(commandLine, options), signal: options.signal });
  return JSON.parse(printed);
}

/** Starts `skein up` or `skein join` and returns the facts that it prints about itself. */
export async function startSkein(
  commandLine: readonly string[],
  options: SkeinOptions,
): Promise<{ readonly facts: unknown; readonly process: PinnedProcess }> {
  const process = startPinned(commandOf([...commandLine, '--parent-lifeline'], options));
  try {
    const line = await untilAborted(Promise.race([process.lines.next(), process.failure]), options.signal);
    if (line.done === true) return await process.failure;
    return { facts: JSON.parse(line.value), process };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

function commandOf(commandLine: readonly string[], { cores, data }: SkeinOptions) {
  return {
    name: `skein ${commandLine[0] ?? ''}`,
    command: process.execPath,
    commandLine: [skein, ...commandLine, '--json', '--data', data],
    cores,
    stop: 'end-of-input',
    output: 'lines',
  } as const;
}
