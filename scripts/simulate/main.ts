import { fileURLToPath } from 'node:url';

import { runScript } from '../run-script.ts';
import { measureDecisions } from './decisions.ts';
import { simulate } from './fleet/simulate.ts';
import { fleets, isFleetName, type FleetName } from './fleet/fleets.ts';
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

/** The command line. */
interface Wanted {
  readonly traces: string;
  readonly trace: readonly string[];
  readonly load: readonly number[];
  readonly fleet: FleetName;
  readonly seed: number;
}

await runScript({
  usage,
  numbers: { seed: { default: 1 } },
  texts: {
    traces: {
      default: fileURLToPath(new URL('../../../shared/traces', import.meta.url)),
      parse: (text: string): string => text,
    },
    trace: { default: [...traceNames, 'conversations'].join(), parse: parseTraces },
    load: { default: '0.3,0.6,0.9', parse: parseLoads },
    fleet: { default: 'even', parse: parseFleet },
  },
  flags: ['placement'],
  async run({ placement, json, ...wanted }) {
    if (placement) return await runPlacement(wanted, json);
    const rows = await simulateAll(wanted);
    const { seed, fleet } = wanted;
    const result = { seed, fleet, rows, losses: losses(rows), decisions: measureDecisions(seed) };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : describe(result));
    return 0;
  },
});

function parseTraces(text: string): readonly string[] {
  const names = text.split(',');
  const unknown = names.find((name) => name !== 'conversations' && !traceNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`--trace: no trace is called "${unknown}"`);
  return names;
}

function parseLoads(text: string): readonly number[] {
  const loads = text.split(',').map(Number);
  if (!loads.every((load) => load > 0 && load <= 2)) throw new Error('--load takes shares, like 0.3,0.6,0.9');
  return loads;
}

function parseFleet(text: string): FleetName {
  if (!isFleetName(text)) throw new Error(`--fleet is one of ${Object.keys(fleets).join(', ')}`);
  return text;
}

async function runPlacement({ traces, seed }: Wanted, json: boolean): Promise<number> {
  const trace = await readTrace(traces, 'azure-conv');
  if (trace === undefined) throw new Error(`azure-conv is not in ${traces}; name its directory with --traces`);
  // Far more than the slowest fleet serves: queues grow as long as requests come.
  const requests = trace.requests.slice(0, placedRequests);
  const rows = comparePlacements({ trace: { ...trace, requests }, load: 0.6, seed });
  process.stdout.write(`${json ? JSON.stringify({ seed, rows }) : placementTable(rows)}\n`);
  return 0;
}

async function simulateAll({ traces, trace: names, load: loads, fleet, seed }: Wanted): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const replicas = fleets[fleet];
  for (const name of names) {
    const recorded = traceNames.find((known) => known === name);
    const trace = recorded === undefined ? conversations(seed) : await readTrace(traces, recorded);
    if (trace === undefined) {
      process.stderr.write(`${name} is skipped: no such trace in ${traces}\n`);
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
