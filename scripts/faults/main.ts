import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { describeFault, describeReport, failuresOf } from './report.ts';
import { runFaults } from './run-faults.ts';

const usage = `Kills, ends and freezes engines, peers and the coordinator of a mesh on this machine, one at a time, while clients
read texts that are known beforehand. Needs Linux.
usage: npm run faults [-- --faults <count>] [--seed <number>] [--json]
  --faults  how many happen. Default 44, which takes some ten minutes
  --seed    decides what happens to whom, when, and what is asked. Default 1
  --json    print one JSON object, and nothing else, on stdout: { seed, faults, answered, lost, cut, lostByError, hung,
            wrongTexts, leaks, crashes, nextAnswerMs, holdings }
Ends with 1 when an answer hung or had a wrong text, something was left behind, or all did not work again in time.`;

const { stdout, stderr } = process;

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse() {
  const { values } = parseArgs({
    options: {
      faults: { type: 'string', default: '44' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const [faults, seed] = [Number(values.faults), Number(values.seed)];
  if (!Number.isInteger(faults) || faults < 1) throw new Error('--faults takes a whole number from 1 on');
  if (!Number.isInteger(seed)) throw new Error('--seed takes a whole number');
  return { faults, seed, json: values.json };
}

async function run({ json, ...wanted }: NonNullable<ReturnType<typeof parse>>): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  try {
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
