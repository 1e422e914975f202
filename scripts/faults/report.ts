import type { Summary } from '../detection/summary.ts';
import type { Fault } from './fault.ts';
import type { TextFault } from './checked-text.ts';

/** One fault with its consequences. Times in milliseconds. */
export interface FaultRecord extends Omit<Fault, 'share'> {
  readonly victim: string;
  /** Number of answers of the streams that were lost from then until the next fault, by error. */
  readonly lost: Readonly<Record<string, number>>;
  /** Time from the fault to the end of the first answer to a later request, by model. Left out when there was none. */
  readonly nextAnswerMs: Readonly<Record<string, number>>;
  /** The undesired consequence. Left out when everything was as before in the end. */
  readonly failure?: string;
}

/** A text that was not the expected one. */
export interface WrongText extends TextFault {
  /** Number of the fault before it, from 1; 0 for none. */
  readonly afterFault: number;
  readonly model: string;
  /** The end of the answer. */
  readonly ended: string;
}

/** A daemon's resources at three moments, in bytes and numbers of open descriptors. */
export interface DaemonHoldings {
  readonly daemon: string;
  readonly warmBytes: number;
  readonly endBytes: number;
  readonly warmDescriptors: number;
  readonly endDescriptors: number;
}

/** The output of `npm run faults -- --json`. */
export interface FaultReport {
  readonly seed: number;
  readonly streams: number;
  readonly faults: readonly FaultRecord[];
  readonly answered: number;
  readonly lost: number;
  /** Number of lost answers of which some text had come. */
  readonly cut: number;
  readonly lostByError: Readonly<Record<string, number>>;
  /** Number of answers that stayed silent for longer than Skein's deadlines allow. */
  readonly hung: number;
  readonly wrongTexts: readonly WrongText[];
  /** Processes, files, descriptors and memory that were left. */
  readonly leaks: readonly string[];
  /** Daemons that ended although nothing was done to them. */
  readonly crashes: readonly string[];
  /** Times from a fault to the next answer, over both models: by `SIGNAL target`, in milliseconds. */
  readonly nextAnswerMs: Readonly<Record<string, Summary>>;
  readonly holdings: readonly DaemonHoldings[];
}

/** Lists the undesired results of a run, one line each. */
export function failuresOf(report: FaultReport): readonly string[] {
  const { hung, wrongTexts, leaks, crashes, faults } = report;
  return [
    ...(hung > 0 ? [`${hung} answers hung`] : []),
    ...wrongTexts.map(
      ({ kind, at, model, afterFault, ended }) =>
        `a text of ${model} is ${kind} at character ${at}, after fault ${afterFault} (it ended: ${ended})`,
    ),
    ...leaks.map((leak) => `left: ${leak}`),
    ...crashes,
    ...faults.flatMap(({ failure }, index) => (failure === undefined ? [] : [`fault ${index + 1}: ${failure}`])),
  ];
}

/** Formats one fault for people, in one line. */
export function describeFault(record: FaultRecord, number: number): string {
  const { signal, victim, forMs, lost, nextAnswerMs, failure } = record;
  const stays = signal === 'SIGSTOP' ? ` for ${seconds(forMs)}` : '';
  const losses = Object.entries(lost).map(([error, count]) => `${count} ${error}`);
  const next = Object.entries(nextAnswerMs).map(([model, ms]) => `${model} ${seconds(ms)}`);
  return [
    `${String(number).padStart(3)}  ${`${signal} ${victim}${stays}`.padEnd(38)}`,
    `lost ${losses.length === 0 ? 'nothing' : losses.join(', ')}`,
    `next answer ${next.join(', ')}`,
    ...(failure === undefined ? [] : [`FAILED: ${failure}`]),
  ].join('; ');
}

/** Formats the whole report for people. */
export function describeReport(report: FaultReport): string {
  const { faults, streams, answered, lost, cut, lostByError, hung, wrongTexts, leaks, nextAnswerMs, holdings } = report;
  const errors = Object.entries(lostByError).map(([error, count]) => `  ${String(count).padStart(5)}  ${error}`);
  const next = Object.entries(nextAnswerMs).map(
    ([kind, { p50, max, n }]) => `  ${kind.padEnd(20)} p50 ${seconds(p50)}, max ${seconds(max)} (n ${n})`,
  );
  const held = holdings.map(
    ({ daemon, ...of }) =>
      `  ${daemon.padEnd(8)} ${mebibytes(of.warmBytes)} before, ${mebibytes(of.endBytes)} after; descriptors ${of.warmDescriptors} before, ${of.endDescriptors} after`,
  );
  return [
    `${faults.length} faults, ${streams} streams: ${answered} answered, ${lost} lost (${cut} of them in the middle), ${hung} hung, ${wrongTexts.length} wrong texts, ${leaks.length} leaks`,
    'lost with',
    ...errors,
    'from the fault to the next answer',
    ...next,
    'what the daemons hold',
    ...held,
    ...failuresOf(report).map((failure) => `FAILED: ${failure}`),
  ].join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
