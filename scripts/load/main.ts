import { runScript } from '../run-script.ts';
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

await runScript({
  usage,
  numbers: {
    requests: { default: 10_000, least: 1 },
    connections: { default: 200, least: 1 },
    parallel: { default: 4, least: 1 },
    seed: { default: 1, least: 1 },
  },
  async run({ json, parallel: sequences, ...wanted }, signal) {
    const report = await runLoad({
      ...wanted,
      sequences,
      signal,
      onProgress: (over) => {
        if (over % 1000 === 0) stderr.write(`${over} of ${wanted.requests}\n`);
      },
    });
    const failures = failuresOf(report);
    stdout.write(`${json ? JSON.stringify(report) : describe(report)}\n`);
    for (const failure of failures) stderr.write(`error: ${failure}\n`);
    return failures.length === 0 ? 0 : 1;
  },
});
