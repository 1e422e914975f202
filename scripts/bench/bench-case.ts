import type { KernelNotes, Kernels } from './kernels.ts';
import type { BenchModel } from './models.ts';
import type { Ratio } from './statistics.ts';

/** Absolute figures, one line of a table. */
export type Row = Readonly<Record<string, string | number | boolean>>;

export interface CaseContext {
  readonly model: BenchModel;
  /** Number of pairs that are measured, in alternating order. */
  readonly rounds: number;
  /** Directory for the case: empty, and removed after it. */
  readonly directory: string;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  /** Reports a step, in one line. */
  readonly say: (line: string) => void;
  readonly kernels: Pick<KernelNotes, 'note'>;
}

export interface CaseResult {
  /** Ratios by name, as `docs/benchmarks.md` lists them. */
  readonly ratios: Readonly<Record<string, Ratio>>;
  readonly rows: readonly Row[];
  /** Sentences about undesired results, reported as errors after the figures. Default: none. */
  readonly failures?: readonly string[];
}

export interface BenchCase {
  /** One line for --help. */
  readonly summary: string;
  readonly run: (context: CaseContext) => Promise<CaseResult>;
}

/** The output of `npm run bench -- <case> --json`. */
export interface BenchReport extends Omit<CaseResult, 'failures'> {
  readonly case: string;
  /** Names of the models. The first one's ratios have plain names. */
  readonly model: string;
  readonly machine: string;
  /** Kernels of the programs that were looked at. */
  readonly kernels?: Kernels;
}
