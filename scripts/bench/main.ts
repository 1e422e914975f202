import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import type { BenchReport } from './bench-case.ts';
import { cases } from './cases/index.ts';
import { modelKeys, type ModelKey } from './models.ts';
import { shortNumber } from './numbers.ts';
import { writeReport } from './report/write-report.ts';
import { runCase } from './run-case.ts';
import { tableOf } from './tables.ts';

const usage = `Measures Skein with real processes on this machine, each pinned to a core with one thread.
usage: npm run bench -- <case> [--model ${modelKeys.join('|')}|all] [--rounds <count>] [--json]
       npm run bench -- report     makes docs/benchmarks.md from the results in docs/benchmarks/*.json
cases:
${[...cases].map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`).join('\n')}
options:
  --model      smollm2: SmolLM2-135M; synthetic: random weights in the shape of TinyLlama 1.1B, Q4_0; default all
  --rounds     pairs that are measured, in alternating order, after one that does not count; default 5
  --json       print one JSON object, and nothing else, on stdout:
               { case, model, machine, ratios: { <name>: { median, min, max, pairs } }, rows }
               Ratios of SmolLM2 have plain names, those of the synthetic model the same with @synthetic, as in
               pipeline1@synthetic; model names both. Names that end in Ms, Mb or Bytes are no quotients but say a unit.`;

const { stdout, stderr } = process;

interface Command {
  readonly name: string;
  readonly models: readonly ModelKey[];
  readonly rounds: number;
  readonly json: boolean;
}

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse(): Command | undefined {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      model: { type: 'string', default: 'all' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new Error('name one case');
  if (name !== 'report' && !cases.has(name)) throw new Error(`there is no case ${name}`);
  const models = modelKeys.filter((key) => values.model === 'all' || values.model === key);
  if (models.length === 0) throw new Error(`there is no model ${values.model}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on');
  return { name, models, rounds, json: values.json };
}

async function run({ json, ...command }: Command): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  const say = (line: string) => void stderr.write(`${line}\n`);
  try {
    const benchCase = cases.get(command.name);
    if (benchCase === undefined) {
      say(`wrote ${await writeReport()}`);
      return 0;
    }
    const { report, failures } = await runCase(benchCase, { ...command, signal: interruption.signal, say });
    if (json) stdout.write(`${JSON.stringify(report)}\n`);
    else printTables(report);
    for (const failure of failures) stderr.write(`error: ${failure}\n`);
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function printTables({ model, machine, rows, ratios }: BenchReport): void {
  console.log(`${model} on ${machine}`);
  const { columns, cells } = tableOf(rows);
  console.table(cells.map((values) => Object.fromEntries(values.map((value, index) => [columns[index], value]))));
  const spreads = Object.entries(ratios).map(([ratio, { pairs, ...values }]) => ({
    ratio,
    ...mapValues(values, shortNumber),
    pairs,
  }));
  console.table(spreads);
}

function mapValues<Value, Result>(values: Readonly<Record<string, Value>>, map: (value: Value) => Result) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}

let command: Command | undefined;
try {
  command = parse();
} catch (error) {
  stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exit(2);
}
if (command === undefined) stdout.write(`${usage}\n`);
else process.exitCode = await run(command);
