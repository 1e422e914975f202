import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { measureDecisions } from './decisions.ts';
import { simulate } from './fleet/simulate.ts';
import { fleets, isFleetName } from './fleet/fleets.ts';
import { comparePlacements, placementTable } from './placement/compare-placements.ts';
import { losses, summarize, table, type Row } from './report.ts';
import { baselines } from './routers/baselines.ts';
import { skein } from './routers/skein.ts';
import { readTrace, traceNames } from './traces/read-traces.ts';
import { conversations } from './traces/conversations.ts';

const usage = `Simulates requests through Skein's own router and those of others, by discrete events.
usage: npm run simulate [-- --traces <directory>] [--trace <names>] [--load <shares>] [--fleet even|mixed|many] [--seed <number>] [--json]
       npm run simulate -- --placement [--traces <directory>] [--seed <number>] [--json]
options:
  --traces  directory of the recorded traces; default: shared/traces beside the checkout
  --trace   names, with commas: ${traceNames.join(', ')}, conversations (made up); default: all that are there
  --load    shares of the fleet's capacity, with commas; default 0.3,0.6,0.9
  --fleet   even: 8 equal replicas; mixed: 8 of three speeds; many: 1,000; default even
  --placement  places models on the machines of an office in Skein's way and in those of others, and compares the replicas
               at 60 % of the capacity of Skein's, on azure-conv, through Skein's router
  --seed    of all that is random; default 1
  --json    print one JSON object, and nothing else, on stdout
Capacity is what a fleet serves with nothing in its caches. "cached" is the share of prompt tokens that caches had.`;

/** Requests of the trace that placements are compared with. */
const placedRequests = 1500;

const { values } = parseArgs({
  options: {
    traces: { type: 'string', default: fileURLToPath(new URL('../../../shared/traces', import.meta.url)) },
    trace: { type: 'string', default: [...traceNames, 'conversations'].join() },
    load: { type: 'string', default: '0.3,0.6,0.9' },
    fleet: { type: 'string', default: 'even' },
    seed: { type: 'string', default: '1' },
    placement: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const loads = values.load.split(',').map(Number);
const seed = Number(values.seed);
const problem = findProblem();

if (values.help || problem !== undefined) {
  (problem === undefined ? process.stdout : process.stderr).write(`${problem ?? usage}\n`);
  process.exitCode = problem === undefined ? 0 : 2;
} else if (values.placement) {
  process.exitCode = await runPlacement();
} else {
  const rows = await run();
  const decisions = measureDecisions(seed);
  const result = { seed, fleet: values.fleet, rows, losses: losses(rows), decisions };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : describe(result));
}

function findProblem(): string | undefined {
  if (!loads.every((load) => load > 0 && load <= 2)) return '--load takes shares, like 0.3,0.6,0.9';
  if (!Number.isSafeInteger(seed)) return '--seed takes a whole number';
  if (!isFleetName(values.fleet)) return `--fleet is one of ${Object.keys(fleets).join(', ')}`;
  const unknown = names().find((name) => name !== 'conversations' && !traceNames.some((known) => known === name));
  return unknown === undefined ? undefined : `no trace is called "${unknown}"`;
}

function names(): readonly string[] {
  return values.trace.split(',');
}

async function runPlacement(): Promise<number> {
  const trace = await readTrace(values.traces, 'azure-conv');
  if (trace === undefined) {
    process.stderr.write(`azure-conv is not in ${values.traces}; name its directory with --traces\n`);
    return 1;
  }
  // Far more than the slowest fleet serves: queues grow as long as requests come.
  const requests = trace.requests.slice(0, placedRequests);
  const rows = comparePlacements({ trace: { ...trace, requests }, load: 0.6, seed });
  process.stdout.write(`${values.json ? JSON.stringify({ seed, rows }) : placementTable(rows)}\n`);
  return 0;
}

async function run(): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const replicas = isFleetName(values.fleet) ? fleets[values.fleet] : [];
  for (const name of names()) {
    const recorded = traceNames.find((known) => known === name);
    const trace = recorded === undefined ? conversations(seed) : await readTrace(values.traces, recorded);
    if (trace === undefined) {
      process.stderr.write(`${name} is skipped: no such trace in ${values.traces}\n`);
      continue;
    }
    for (const load of loads) {
      for (const router of [...baselines, skein]) {
        const outcomes = simulate({ trace, replicas, router, load, seed });
        rows.push({ trace: name, load, router: router.name, ...summarize(outcomes) });
      }
    }
  }
  return rows;
}

function describe(result: {
  readonly rows: readonly Row[];
  readonly losses: readonly string[];
  readonly decisions: ReturnType<typeof measureDecisions>;
}): string {
  const { p50Us, p99Us, replicas } = result.decisions;
  return [
    table(result.rows),
    ...result.losses.map((loss) => `Skein is behind: ${loss}`),
    `a decision among ${replicas} replicas that hold parts of the prompt: median ${p50Us.toFixed(1)} µs, p99 ${p99Us.toFixed(1)} µs`,
    '',
  ].join('\n');
}
