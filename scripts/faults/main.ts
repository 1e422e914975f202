import { missingForLan } from '../lan/missing.ts';
import { runScript } from '../run-script.ts';
import { describeFault, describeReport, failuresOf } from './report.ts';
import { runFaults } from './run-faults.ts';

/** Exit status of a check that a machine can't make, as of the test drivers of Automake. */
const cannotRun = 77;
const usage = `Makes faults happen to a mesh in hosts of its own on this machine, one at a time, while clients read answers that
are known from the time before: engines, peers and the coordinator are killed, ended and frozen, cables pulled, two peers
cut off from each other, a link delayed, disks filled. Needs Linux, root and iproute2.
usage: npm run faults [-- --minutes <number>] [--seed <number>] [--json]
  --minutes  time in which faults happen. Default 5; start and end take another minute
  --seed     decides what happens to whom, when, and what is asked. Default 1
  --json     print one JSON object, and nothing else, on stdout: { faults, requests, completed, capacityErrors, refused,
             disconnected, lost, duplicatedTokens, missingTokens, replayMismatches, replays, sameAsFaultFree, pauseMs,
             pauseMsByCause, leaked, leaks, crashes, nextAnswerMs, holdings, … }
Ends with 1 when an answer was lost or wrong, something was left behind, or all did not work again in time, and with
${cannotRun} when this machine can have no such hosts.`;

const { stdout, stderr } = process;

await runScript({
  usage,
  numbers: { minutes: { default: 5, least: 0, takesParts: true }, seed: { default: 1 } },
  async run({ json, ...wanted }, signal) {
    const missing = await missingForLan();
    if (missing !== undefined) {
      stderr.write(`${missing}\n`);
      return cannotRun;
    }
    const report = await runFaults({
      ...wanted,
      signal,
      onFault: (record, number) => stderr.write(`${describeFault(record, number)}\n`),
    });
    stdout.write(`${json ? JSON.stringify(report) : describeReport(report)}\n`);
    return failuresOf(report).length === 0 ? 0 : 1;
  },
});
