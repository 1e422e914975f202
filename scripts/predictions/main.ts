import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { benchModel } from '../bench/models.ts';
import { bandwidths, measurePredictions, medianOf, type Comparison } from './measure-predictions.ts';

const usage = `Compares predicted with measured decode speeds: one stream of SmolLM2-135M on three machines in network
namespaces, whole and over 2 and 3 stages, with cables of ${bandwidths.join(', ')} Mbit/s. Needs Linux, root, and a machine
that does nothing else.
usage: npm run predictions [-- --rounds <count>] [--json]
options:
  --rounds   answers of which the median speed counts; default 5
  --json     print { comparisons: [{ mbit, stages, predicted, measured }], medianError, greatestError }
The exit code is 1 where the median error is above 15 %.`;

const mostError = 0.15;

const { stdout, stderr } = process;

async function run({ rounds, json }: { readonly rounds: number; readonly json: boolean }): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
  });
  const { signal } = interruption;
  const { path } = await benchModel('smollm2', (line) => stderr.write(`${line}\n`));
  const comparisons: Comparison[] = [];
  for (const mbit of bandwidths) {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-predictions-'));
    comparisons.push(...(await measurePredictions({ directory: directory.path, path, mbit, rounds, signal })));
    stderr.write(`${mbit} Mbit/s is measured\n`);
  }
  const errors = comparisons.map(({ predicted, measured }) => Math.abs(predicted / measured - 1));
  const [medianError, greatestError] = [medianOf(errors), Math.max(...errors)];
  if (json) stdout.write(`${JSON.stringify({ comparisons, medianError, greatestError })}\n`);
  else {
    stdout.write('| Mbit/s | stages | predicted tokens/s | measured | predicted ÷ measured |\n| - | - | - | - | - |\n');
    for (const { mbit, stages, predicted, measured } of comparisons) {
      stdout.write(
        `| ${mbit} | ${stages} | ${predicted.toFixed(1)} | ${measured.toFixed(1)} | ${(predicted / measured).toFixed(2)} |\n`,
      );
    }
    stdout.write(`median error ${(100 * medianError).toFixed(0)} %, greatest ${(100 * greatestError).toFixed(0)} %\n`);
  }
  return interruption.exitCode ?? (medianError > mostError ? 1 : 0);
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (values.help || !Number.isInteger(rounds) || rounds < 1) {
  (values.help ? stdout : stderr).write(`${usage}\n`);
  process.exitCode = values.help ? 0 : 2;
} else {
  process.exitCode = await run({ rounds, json: values.json });
}
