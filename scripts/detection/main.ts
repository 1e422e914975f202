import { runScript } from '../run-script.ts';
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

function describe(title: string, { p50, p95, max, n }: Summary): string {
  return `${title.padEnd(48)} p50 ${p50} ms, p95 ${p95} ms, max ${max} ms (n ${n})`;
}

await runScript({
  usage,
  numbers: { rounds: { default: 10, least: 1 }, members: { default: 8, least: 4 } },
  async run({ rounds, members, json }, signal) {
    const samples: DetectionSamples[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      stderr.write(`round ${round} of ${rounds}\n`);
      samples.push(await measureRound({ members, signal }));
    }
    const summaries = keys.map((key) => [key, summarize(samples.flatMap((sample) => sample[key]))] as const);
    if (json) stdout.write(`${JSON.stringify(Object.fromEntries(summaries))}\n`);
    else for (const [key, summary] of summaries) stdout.write(`${describe(what[key], summary)}\n`);
    return 0;
  },
});
