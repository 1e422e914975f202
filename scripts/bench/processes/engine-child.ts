import { fileURLToPath } from 'node:url';

import { untilAborted } from '@skein/mesh';

import type { CaseContext } from '../bench-case.ts';
import type { EngineArguments, EngineCommand, EngineResult } from '../children/commands.ts';
import { startPinned } from './pinned-process.ts';

export interface EngineChild extends AsyncDisposable {
  /** Runs one command; returns tokens per second. */
  run(command: EngineCommand): Promise<number>;
}

export interface EngineChildOptions extends Omit<EngineArguments, 'path' | 'hiddenSize'> {
  readonly script: 'engine-loop' | 'node-llama-cpp-loop';
  readonly core: number;
}

/** Starts an engine in a process of its own, on a core of its own, and waits until it has loaded the model. */
export async function startEngineChild(
  { script, core, ...rest }: EngineChildOptions,
  { model, signal }: Pick<CaseContext, 'model' | 'signal'>,
): Promise<EngineChild> {
  const { path, hiddenSize } = model;
  const engineArguments: EngineArguments = { path, hiddenSize, ...rest };
  const child = startPinned({
    name: script,
    command: process.execPath,
    commandLine: [fileURLToPath(new URL(`../children/${script}.ts`, import.meta.url)), JSON.stringify(engineArguments)],
    cores: [core],
    stop: 'end-of-input',
    output: 'lines',
  });
  const nextLine = async (): Promise<string> => {
    const line = await untilAborted(Promise.race([child.lines.next(), child.failure]), signal);
    return line.done === true ? await child.failure : line.value;
  };
  try {
    await nextLine();
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  return {
    async run(command) {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const { tokens, milliseconds } = JSON.parse(await nextLine()) as EngineResult;
      return (tokens * 1000) / milliseconds;
    },
    [Symbol.asyncDispose]: async () => await child[Symbol.asyncDispose](),
  };
}

/**
 * Starts two independent engines, each with the whole model on its own core: together they show the ceiling of the two
 * cores. A command runs on both at the same moment, and their speeds are added up.
 */
export async function startCeiling(
  options: Omit<EngineChildOptions, 'script' | 'core'>,
  context: Pick<CaseContext, 'model' | 'signal'>,
): Promise<EngineChild> {
  await using stack = new AsyncDisposableStack();
  const engines: EngineChild[] = [];
  for (const core of [0, 1]) {
    engines.push(stack.use(await startEngineChild({ ...options, script: 'engine-loop', core }, context)));
  }
  const running = stack.move();
  return {
    async run(command) {
      const speeds = await Promise.all(engines.map(async (engine) => await engine.run(command)));
      return speeds.reduce((sum, speed) => sum + speed, 0);
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
