import { ownDataDirectory } from './data/data-directory.ts';
import { exitCodes } from './process/exit-codes.ts';
import { hideArguments } from './process/hide-arguments.ts';
import { Interruption } from './process/interruption.ts';
import { printLine } from './program/context.ts';
import { reportError } from './program/report-error.ts';
import { runCommandLine } from './program/run-command-line.ts';

hideArguments(process);
const { stdin, stdout, stderr } = process;

process.on('uncaughtException', (error) => {
  reportError(stderr, error, { verbose: process.argv.includes('--verbose') });
  process.exit(exitCodes.failed);
});

using interruption = new Interruption({
  process,
  exit: (code) => process.exit(code),
  nowMs: () => performance.now(),
  onInterrupt: () => stderr.isTTY && printLine(stderr, '\nstopping; press Ctrl-C again to end at once'),
});
// `skein run … | head` ends like any other program whose reader has seen enough.
stdout.on('error', () => interruption.stop(exitCodes.brokenPipe));
stderr.on('error', () => interruption.stop(exitCodes.brokenPipe));

const code = await runCommandLine(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  signal: interruption.signal,
  environment: process.env,
  defaultDataDirectory: ownDataDirectory(process.env),
});
process.exitCode = interruption.exitCode ?? code;
