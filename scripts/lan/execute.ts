import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Runs a program to its end and returns its output.
 *
 * @throws Error with its text on stderr, when it fails
 */
export async function execute(command: string, commandLine: readonly string[], input = ''): Promise<string> {
  const running = run(command, [...commandLine], { maxBuffer: 16 * 1024 * 1024 });
  running.child.stdin?.on('error', () => undefined).end(input);
  try {
    return (await running).stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`${command} ${commandLine.join(' ')}: ${said || String(error)}`, { cause: error });
  }
}

/** Runs several commands of `ip` in one go, in a namespace when one is named. */
export async function ip(commands: readonly string[], namespace?: string): Promise<void> {
  const where = namespace === undefined ? [] : ['-netns', namespace];
  await execute('ip', [...where, '-batch', '-'], `${commands.join('\n')}\n`);
}
