import { CommanderError } from 'commander';

import { exitCodes } from '../process/exit-codes.ts';
import type { CommandContext } from './context.ts';
import { createProgram } from './program.ts';
import { reportError } from './report-error.ts';

/** Runs one command line, without `node` and the script, and returns its exit code. Never throws. */
export async function runCommandLine(commandLine: readonly string[], context: CommandContext): Promise<number> {
  const program = createProgram(context);
  try {
    await program.parseAsync(commandLine, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    // Commander has written its own message. Its code is 0 where help or the version was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    // Nobody needs to be told that they interrupted.
    if (!context.signal.aborted) reportError(context.stderr, error, program.opts());
    return exitCodes.failed;
  }
}
