import { runInProcess } from '../../packages/cli/src/testing/run-in-process.ts';
import type { CommandOptions } from '../../scripts/quickstart/skein-command.ts';

/**
 * Runs a command that prints JSON, and returns the value, as `runSkein` does, but in this process: for suites with many
 * short commands, each of which would compute for most of a second before it begins.
 *
 * @throws Error with the command's own last line when it fails
 */
export async function runCommand(
  commandLine: readonly string[],
  { machine, signal }: CommandOptions,
): Promise<unknown> {
  const words = [...commandLine, '--json', '--data', machine.data];
  const { code, stdout, stderr } = await runInProcess(words, { signal });
  signal.throwIfAborted();
  if (code !== 0) throw new Error(`${machine.name}: ${stderr.trimEnd().split('\n').at(-1)}`);
  return JSON.parse(stdout);
}
