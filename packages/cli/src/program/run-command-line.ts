import { CommanderError } from 'commander';

import { exitCodes } from '../process/exit-codes.ts';
import { printJson, printLine, type CommandContext, type GlobalOptions } from './context.ts';
import { Verdict } from './verdict.ts';
import { createProgram } from './program.ts';
import { reportedError, reportError } from './report-error.ts';

/** Runs one command line, without `node` and the script, and returns its exit code. Never throws. */
export async function runCommandLine(commandLine: readonly string[], context: CommandContext): Promise<number> {
  let command = '';
  let isVerbose = false;
  // Deadlines are timers that keep no process alive: it would end in the middle of a wait for what never comes.
  const staying = setInterval(() => undefined, 0x7fff_ffff);
  try {
    const program = await createProgram(commandLine, context);
    program.hook('preAction', (_, action) => {
      command = action.name();
      isVerbose = program.opts<GlobalOptions>().verbose;
    });
    await program.parseAsync(commandLine, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    // Its code is 0 where help or the version was asked for.
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    if (error instanceof Verdict) return error.exitCode;
    if (!context.signal.aborted && isJsonAskedFor(commandLine)) {
      printJson(context.stdout, { error: reportedError(error) });
    }
    // Commander has written its own message.
    if (error instanceof CommanderError) return exitCodes.usage;
    if (!context.signal.aborted) reportError(context.stderr, error, { verbose: isVerbose });
    // That they interrupted, people know; what it led to, they do not. A reader of the output that went away is not one.
    else if (context.stderr.isTTY === true && context.stdout.writable) printLine(context.stderr, outcomeOf(command));
    return exitCodes.failed;
  } finally {
    clearInterval(staying);
  }
}

/** Tells whether a command line has `--json`, be it wrong otherwise or not: then programs read what comes of it. */
function isJsonAskedFor(commandLine: readonly string[]): boolean {
  const end = commandLine.indexOf('--');
  return commandLine.slice(0, end === -1 ? undefined : end).includes('--json');
}

/** Returns the sentence about the state that an interrupted command leaves behind. */
function outcomeOf(command: string): string {
  switch (command) {
    case 'up':
    case 'join':
      return 'stopped; nothing of it runs any more';
    case 'deploy':
      return 'cancelled; nothing was deployed';
    case 'pull':
      return 'cancelled; the same `skein pull` goes on where this one stopped';
    case 'rm':
      return 'cancelled; the same `skein rm` removes what is left';
    case 'undeploy':
      return 'no longer waiting; it is taken down when its answers have ended, see `skein status`';
    default:
      return 'cancelled';
  }
}
