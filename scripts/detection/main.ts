import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { measureRound, type DetectionSamples } from './round.ts';
import { summarize, type Summary } from './summary.ts';

const usage = `Measures how soon members notice each other's coming and going, on hosts in network namespaces. Needs root.
usage: npm run detection [-- --rounds <count>] [--members <count>] [--json]
  --rounds   default 10
  --members  that find each other, from 4 on; one more joins later. Default 8
  --json     print one JSON object, and nothing else, on stdout:
             { discoverMs, joinMs, killMs, freezeMs, cutMs, revokeMs }, each { p50, p95, max, n }`;

const what: Readonly<Record<keyof DetectionSamples, string>> = {
  discoverMs: 'all find each other by mDNS, from their start',
  joinMs: 'a new one is on every card list, from its start',
  killMs: 'a killed one is gone (SIGKILL)',
  freezeMs: 'a frozen one is gone (SIGSTOP)',
  cutMs: 'one whose cable is pulled is gone',
  revokeMs: 'one that is revoked is cut off',
};
const keys = Object.keys(what) as (keyof DetectionSamples)[];
const { stdout, stderr } = process;

interface Command {
  readonly rounds: number;
  readonly members: number;
  readonly json: boolean;
}

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse(): Command | undefined {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '10' },
      members: { type: 'string', default: '8' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [rounds, members] = [Number(values.rounds), Number(values.members)];
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on');
  if (!Number.isInteger(members) || members < 4) throw new Error('--members takes a whole number from 4 on');
  return { rounds, members, json: values.json };
}

async function run({ rounds, members, json }: Command): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  try {
    const samples: DetectionSamples[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      stderr.write(`round ${round} of ${rounds}\n`);
      samples.push(await measureRound({ members, signal: interruption.signal }));
    }
    const summaries = keys.map((key) => [key, summarize(samples.flatMap((sample) => sample[key]))] as const);
    if (json) stdout.write(`${JSON.stringify(Object.fromEntries(summaries))}\n`);
    else for (const [key, summary] of summaries) stdout.write(`${describe(what[key], summary)}\n`);
    return 0;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function describe(title: string, { p50, p95, max, n }: Summary): string {
  return `${title.padEnd(48)} p50 ${p50} ms, p95 ${p95} ms, max ${max} ms (n ${n})`;
}

try {
  const command = parse();
  if (command === undefined) stdout.write(`${usage}\n`);
  else process.exitCode = await run(command);
} catch (error) {
  stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = 2;
}
