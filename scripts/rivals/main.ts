import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { buildRivals } from './build-rivals.ts';

/** Builds the programs that the benchmarks compare with, and prints their paths. */
using interruption = new Interruption({
  process,
  exit: (code) => process.exit(code),
  nowMs: () => performance.now(),
});
try {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const rivals = await buildRivals({ signal: interruption.signal, say });
  process.stdout.write(`${JSON.stringify(rivals)}\n`);
} catch (error) {
  if (interruption.exitCode === undefined) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  process.exitCode = interruption.exitCode ?? 1;
}
