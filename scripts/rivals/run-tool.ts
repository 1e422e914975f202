import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { hasCode } from '@skein/protocol';

const keptLines = 15;

export interface RunToolOptions {
  readonly signal: AbortSignal;
  /** Receives the tool's output, line by line. */
  readonly onLine: (line: string) => void;
  /** Directory to run it in. Default: this process's own. */
  readonly directory?: string | undefined;
  /** Advice for a machine that lacks the tool. Default: how to get those that build llama.cpp. */
  readonly purpose?: string | undefined;
}

const building =
  "llama.cpp's programs are built from source, with git, cmake and a C++ compiler; " +
  'install them, e.g. `apt install git cmake g++` or `brew install git cmake`';

/**
 * Runs a program of the machine to its end.
 *
 * @throws Error with its last lines when it fails, or with advice to install it when it is missing
 */
export async function runTool(
  command: string,
  commandLine: readonly string[],
  { signal, onLine, directory, purpose = building }: RunToolOptions,
): Promise<void> {
  const child = spawn(command, commandLine, { stdio: ['ignore', 'pipe', 'pipe'], signal, cwd: directory });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      last.push(line);
      if (last.length > keptLines) last.shift();
      onLine(line);
    });
  }
  let code: unknown;
  try {
    [code] = await once(child, 'close');
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, 'ENOENT')) throw new Error(`${command} is missing: ${purpose}`, { cause: error });
    throw error;
  }
  if (code !== 0) throw new Error(`${command} ${commandLine[0] ?? ''} failed:\n${last.join('\n')}`);
}
