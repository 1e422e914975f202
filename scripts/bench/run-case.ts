import { mkdtempDisposable } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

import type { BenchCase, BenchReport, CaseContext, Row } from './bench-case.ts';
import { KernelNotes } from './kernels.ts';
import { benchModel, modelKeys, type ModelKey } from './models.ts';
import { moveToCores } from './processes/own-cores.ts';
import type { Ratio } from './statistics.ts';

export interface RunCaseOptions extends Pick<CaseContext, 'rounds' | 'signal' | 'say'> {
  readonly name: string;
  readonly models: readonly ModelKey[];
}

/** Runs a case with one model after the other. The failures are sentences; none when all results were as they must be. */
export async function runCase(
  benchCase: BenchCase,
  options: RunCaseOptions,
): Promise<{ readonly report: BenchReport; readonly failures: readonly string[] }> {
  const { name, models, say } = options;
  const ratios: Record<string, Ratio> = {};
  const rows: Row[] = [];
  const names: string[] = [];
  const failures: string[] = [];
  const kernels = new KernelNotes();
  for (const key of models) {
    const model = await benchModel(key, say);
    names.push(model.name);
    await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-bench-'));
    const prefixed = (line: string) => say(`${name}, ${key}: ${line}`);
    const context = { ...options, model, directory: temporary.path, say: prefixed, kernels };
    // A case may have moved this process out of the way of what it measures.
    await moveToCores(cpus().map((_, core) => core));
    const result = await benchCase.run(context);
    for (const [ratio, value] of Object.entries(result.ratios)) ratios[ratioName(ratio, key)] = value;
    rows.push(...result.rows.map((row) => ({ model: key, ...row })));
    failures.push(...(result.failures ?? []).map((failure) => `${key}: ${failure}`));
  }
  const about = { case: name, model: names.join(', '), machine: describeMachine(), kernels: kernels.describe() };
  return { report: { ...about, ratios, rows }, failures };
}

/** Returns the name of a ratio. Those of the default model have plain names. */
function ratioName(name: string, model: ModelKey): string {
  return model === modelKeys[0] ? name : `${name}@${model}`;
}

function describeMachine(): string {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${gibibytes} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`;
}
