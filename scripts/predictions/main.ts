import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { benchModel } from '../bench/models.ts';
import { runScript } from '../run-script.ts';
import { bandwidths, measurePredictions, medianOf, type Measurements, type Pair } from './measure-predictions.ts';

const usage = `Compares predicted with measured decode speeds: one stream of SmolLM2-135M on three machines in network
namespaces, whole and over 2 and 3 stages, with cables of ${bandwidths.join(', ')} Mbit/s. Needs Linux, root, and a machine
that does nothing else.
usage: npm run predictions [-- --rounds <count>] [--mbit <bandwidth>] [--json]
options:
  --rounds   answers of which the median speed counts; default 5
  --mbit     bandwidth of the cables; default 0, all of these
  --json     print { comparisons: [{ mbit, stages, predicted, measured, prefill, ttftMs }], medianError, greatestError,
             prefill, ttft, machines }, with the machines' own measurements of their speeds and links
Prefill and the time to the first token are compared, too. The exit code is 1 where the median error of the decode speed
is above 15 %.`;

const mostError = 0.15;

const { stdout, stderr } = process;

interface RunOptions {
  readonly rounds: number;
  /** In 10⁶ bits a second. */
  readonly chosen: readonly number[];
  readonly json: boolean;
}

async function run({ rounds, chosen, json }: RunOptions, signal: AbortSignal): Promise<number> {
  const { path } = await benchModel('smollm2', (line) => stderr.write(`${line}\n`));
  const measurements: (Measurements & { readonly mbit: number })[] = [];
  for (const mbit of chosen) {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-predictions-'));
    measurements.push({
      mbit,
      ...(await measurePredictions({ directory: directory.path, path, mbit, rounds, signal })),
    });
    stderr.write(`${mbit} Mbit/s is measured\n`);
  }
  const comparisons = measurements.flatMap((one) => one.comparisons);
  const decode = errorsOf(comparisons);
  const errors = {
    ...decode,
    prefill: errorsOf(comparisons.map(({ prefill }) => prefill)),
    ttft: errorsOf(comparisons.map(({ ttftMs }) => ttftMs)),
  };
  if (json) {
    const machines = measurements.map(({ mbit, machines: all }) => ({ mbit, machines: all }));
    stdout.write(`${JSON.stringify({ comparisons, ...errors, machines })}\n`);
  } else {
    stdout.write('| Mbit/s | stages | tokens/s | prefill tokens/s | TTFT, ms |\n| - | - | - | - | - |\n');
    for (const { mbit, stages, prefill, ttftMs, ...speed } of comparisons) {
      const figures = [mbit, stages, textOf(speed, 1), textOf(prefill, 0), textOf(ttftMs, 0)];
      stdout.write(`| ${figures.join(' | ')} |\n`);
    }
    stdout.write('Each figure: predicted / measured = ratio.\n');
    const { prefill, ttft } = errors;
    for (const [name, one] of Object.entries({ 'tokens/s': decode, prefill, TTFT: ttft })) {
      const [median, greatest] = [one.medianError, one.greatestError].map((error) => `${(100 * error).toFixed(0)} %`);
      stdout.write(`${name}: median error ${median}, greatest ${greatest}\n`);
    }
  }
  return decode.medianError > mostError ? 1 : 0;
}

function errorsOf(pairs: readonly Pair[]): { readonly medianError: number; readonly greatestError: number } {
  const errors = pairs.map(({ predicted, measured }) => Math.abs(predicted / measured - 1));
  return { medianError: medianOf(errors), greatestError: Math.max(...errors) };
}

function textOf({ predicted, measured }: Pair, digits: number): string {
  return `${predicted.toFixed(digits)} / ${measured.toFixed(digits)} = ${(predicted / measured).toFixed(2)}`;
}

await runScript({
  usage,
  numbers: { rounds: { default: 5, least: 1 }, mbit: { default: 0, least: 0 } },
  run: async ({ rounds, mbit, json }, signal) =>
    await run({ rounds, chosen: mbit === 0 ? bandwidths : [mbit], json }, signal),
});
