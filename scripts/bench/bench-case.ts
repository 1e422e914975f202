import type { KernelNotes, Kernels } from './kernels.ts';
import type { BenchModel } from './models.ts';
import type { Ratio } from './statistics.ts';

/** Absolute figures, one line of a table. */
export type Row = Readonly<Record<string, string | number | boolean>>;

export interface CaseContext {
  readonly model: BenchModel;
  /** Pairs that are measured, in alternating order. */
  readonly rounds: number;
  /** Empty; gone after the case. */
  readonly directory: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Takes what happens, line by line. */
  readonly say: (line: string) => void;
  readonly kernels: Pick<KernelNotes, 'note'>;
}

export interface CaseResult {
  /** By name, as `docs/benchmarks.md` lists them. */
  readonly ratios: Readonly<Record<string, Ratio>>;
  readonly rows: readonly Row[];
  /** What must not be, in words: reported as errors, after the figures. Default none. */
  readonly failures?: readonly string[];
}

export interface BenchCase {
  /** One line for --help. */
  readonly summary: string;
  readonly run: (context: CaseContext) => Promise<CaseResult>;
}

/** What `npm run bench -- <case> --json` prints. */
export interface BenchReport extends Omit<CaseResult, 'failures'> {
  readonly case: string;
  /** Names of the models, the first one's ratios under their plain names. */
  readonly model: string;
  readonly machine: string;
  /** Of the programs that were looked at. */
  readonly kernels?: Kernels;
}
