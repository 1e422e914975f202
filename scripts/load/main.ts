import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { failuresOf, runLoad, type LoadReport } from './run-load.ts';

const usage = `Asks two replicas of a tiny model on this machine many short questions at once, and checks every answer. Needs Linux.
usage: npm run load [-- --requests <count>] [--connections <count>] [--parallel <n>] [--seed <number>] [--json]
  --requests     how many questions; default 10000
  --connections  how many clients ask, each the next question as soon as it has an answer; default 200
  --parallel     answers at once of each replica; default 4
  --seed         decides what is asked; default 1
  --json         print one JSON object, and nothing else, on stdout: { requests, connections, seconds, requestsPerSecond,
                 answered, lost, refusals, refusedByAdmission, answerMs: { p50, p95, max, n }, memory: { <process>:
                 { earlyBytes, lateBytes, peakBytes } } }
Ends with 1 when a request was lost, an answer was wrong, somebody else than the admission refused one, or the memory of a
daemon or an engine grew from the second fifth of the run to the last by more than 15 % and 16 MiB.`;

const { stdout, stderr } = process;

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse() {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '10000' },
      connections: { type: 'string', default: '200' },
      parallel: { type: 'string', default: '4' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const count = (name: 'requests' | 'connections' | 'parallel' | 'seed'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on`);
    return value;
  };
  const [requests, connections] = [count('requests'), count('connections')];
  return { requests, connections, sequences: count('parallel'), seed: count('seed'), json: values.json };
}

async function run({ json, ...wanted }: NonNullable<ReturnType<typeof parse>>): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  try {
    const report = await runLoad({
      ...wanted,
      signal: interruption.signal,
      onProgress: (over) => {
        if (over % 1000 === 0) stderr.write(`${over} of ${wanted.requests}\n`);
      },
    });
    const failures = failuresOf(report);
    stdout.write(`${json ? JSON.stringify(report) : describe(report)}\n`);
    for (const failure of failures) stderr.write(`error: ${failure}\n`);
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function describe({ answered, requests, seconds, refusals, requestsPerSecond, answerMs, memory }: LoadReport): string {
  const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  return [
    `${answered} of ${requests} answered in ${seconds.toFixed(1)} s, ${requestsPerSecond.toFixed(0)} a second; ${refusals} refusals`,
    `an answer took ${answerMs.p50} ms (median), ${answerMs.p95} ms (p95), ${answerMs.max} ms (longest)`,
    ...Object.entries(memory).map(
      ([name, { earlyBytes, lateBytes, peakBytes }]) =>
        `${name}: ${mebibytes(earlyBytes)} MiB early, ${mebibytes(lateBytes)} late, ${mebibytes(peakBytes)} at most`,
    ),
  ].join('\n');
}

try {
  const wanted = parse();
  if (wanted === undefined) stdout.write(`${usage}\n`);
  else process.exitCode = await run(wanted);
} catch (error) {
  stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = 2;
}
