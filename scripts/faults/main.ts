import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { missingForLan } from '../lan/missing.ts';
import { describeFault, describeReport, failuresOf } from './report.ts';
import { runFaults } from './run-faults.ts';

const usage = `Makes faults happen to a mesh in hosts of its own on this machine, one at a time, while clients read answers that
are known from the time before: engines, peers and the coordinator are killed, ended and frozen, cables pulled, two peers
cut off from each other, a link delayed, disks filled. Needs Linux, root and iproute2.
usage: npm run faults [-- --minutes <number>] [--seed <number>] [--json]
  --minutes  time in which faults happen. Default 5; start and end take another minute
  --seed     decides what happens to whom, when, and what is asked. Default 1
  --json     print one JSON object, and nothing else, on stdout: { faults, requests, completed, capacityErrors, refused,
             disconnected, lost, duplicatedTokens, missingTokens, replayMismatches, replays, sameAsFaultFree, pauseMs,
             pauseMsByCause, leaked, leaks, crashes, nextAnswerMs, holdings, … }
Ends with 1 when an answer was lost or wrong, something was left behind, or all did not work again in time.`;

const { stdout, stderr } = process;

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes > 0 && Number.isFinite(minutes))) throw new Error('--minutes takes a number above 0');
  if (!Number.isInteger(seed)) throw new Error('--seed takes a whole number');
  return { minutes, seed, json: values.json };
}

async function run({ json, ...wanted }: NonNullable<ReturnType<typeof parse>>): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  try {
    const missing = await missingForLan();
    if (missing !== undefined) throw new Error(missing);
    const { signal } = interruption;
    const report = await runFaults({
      ...wanted,
      signal,
      onFault: (record, number) => stderr.write(`${describeFault(record, number)}\n`),
    });
    stdout.write(`${json ? JSON.stringify(report) : describeReport(report)}\n`);
    return failuresOf(report).length === 0 ? 0 : 1;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

try {
  const wanted = parse();
  if (wanted === undefined) stdout.write(`${usage}\n`);
  else process.exitCode = await run(wanted);
} catch (error) {
  stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = 2;
}
