import type { Summary } from '../detection/summary.ts';
import type { Fault } from './fault.ts';

/** One fault with its consequences. Times in milliseconds. */
export interface FaultRecord extends Omit<Fault, 'share'> {
  readonly victim: string;
  /** Number of answers that did not come to their end from then until the next fault, by the way in which they ended. */
  readonly ended: Readonly<Record<string, number>>;
  /** Time from the fault to the end of the first answer to a later request, by model. Left out when there was none. */
  readonly nextAnswerMs: Readonly<Record<string, number>>;
  /** The undesired consequence. Left out when everything was as before in the end. */
  readonly failure?: string;
}

/** An answer that was not the expected one, and that a fresh request does not give either. */
export interface WrongAnswer {
  readonly kind: string;
  readonly model: string;
  /** Way in which it was asked for. */
  readonly way: string;
  /** Number of the fault before it, from 1; 0 for none. */
  readonly afterFault: number;
  readonly what: string;
  /** Number of tokens that came twice, and that were left out. */
  readonly duplicated: number;
  readonly missing: number;
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
  readonly requests: number;
  readonly completed: number;
  /** Number of answers that ended with an error that says how much was delivered. */
  readonly capacityErrors: number;
  /** Number of requests that were refused before anything was delivered, to be asked again later. */
  readonly refused: number;
  /** Number of answers whose connection to the coordinator broke. */
  readonly disconnected: number;
  /** Number of answers that ended in any other way. */
  readonly lost: number;
  readonly lostByError: Readonly<Record<string, number>>;
  readonly duplicatedTokens: number;
  readonly missingTokens: number;
  /** Number of answers that went on otherwise than a fresh request does behind the same tokens. */
  readonly replayMismatches: number;
  readonly wrongAnswers: readonly WrongAnswer[];
  /** Number of answers that were compared with such a fresh request. */
  readonly replays: number;
  /** Share of complete answers that are equal, token for token, to those before the first fault. */
  readonly sameAsFaultFree: number;
  /** Times for which readers of answers that went on elsewhere waited. Left out when none did. */
  readonly pauseMs: Summary | undefined;
  readonly pauseMsByCause: Readonly<Record<string, Summary>>;
  /** Number of {@link leaks}. */
  readonly leaked: number;
  /** Processes, files, descriptors and memory that were left. */
  readonly leaks: readonly string[];
  /** Daemons that ended although nothing was done to them. */
  readonly crashes: readonly string[];
  /** Times from a fault to the next answer, over both models. */
  readonly nextAnswerMs: Readonly<Record<string, Summary>>;
  readonly holdings: readonly DaemonHoldings[];
}

/** Lists the undesired results of a run, one line each. */
export function failuresOf(report: FaultReport): readonly string[] {
  const { lostByError, wrongAnswers, leaks, crashes, faults } = report;
  return [
    ...Object.entries(lostByError).map(([error, count]) => `${count} answers were lost: ${error}`),
    ...wrongAnswers.map(
      ({ kind, model, way, afterFault, what }) =>
        `an answer of ${model} over ${way} (${kind}), after fault ${afterFault}: ${what}`,
    ),
    ...leaks.map((leak) => `left: ${leak}`),
    ...crashes,
    ...faults.flatMap(({ failure }, index) => (failure === undefined ? [] : [`fault ${index + 1}: ${failure}`])),
  ];
}

/** Formats one fault for people, in one line. */
export function describeFault(record: FaultRecord, number: number): string {
  const { action, target, victim, forMs, ended, nextAnswerMs, failure } = record;
  const ends = Object.entries(ended).map(([how, count]) => `${count} ${how}`);
  const next = Object.entries(nextAnswerMs).map(([model, ms]) => `${model} ${seconds(ms)}`);
  return [
    `${String(number).padStart(3)}  ${`${action} ${target}: ${victim}, ${seconds(forMs)}`.padEnd(44)}`,
    ...(ends.length === 0 ? ['all went on'] : ends),
    `next answer ${next.join(', ')}`,
    ...(failure === undefined ? [] : [`FAILED: ${failure}`]),
  ].join('; ');
}

/** Formats the whole report for people. */
export function describeReport(report: FaultReport): string {
  const { faults, streams, requests, completed, capacityErrors, refused, disconnected, lost } = report;
  const { duplicatedTokens, missingTokens, replayMismatches, replays, leaked, sameAsFaultFree, pauseMs } = report;
  const held = report.holdings.map(
    ({ daemon, ...of }) =>
      `  ${daemon.padEnd(8)} ${mebibytes(of.warmBytes)} before, ${mebibytes(of.endBytes)} after; descriptors ${of.warmDescriptors} before, ${of.endDescriptors} after`,
  );
  return [
    `${faults.length} faults, ${streams} streams, ${requests} requests: ${completed} completed, ${capacityErrors} ended for want of a replica, ${refused} refused, ${disconnected} disconnected, ${lost} lost`,
    `${duplicatedTokens} duplicated and ${missingTokens} missing tokens, ${replayMismatches} mismatches in ${replays} replays, ${leaked} leaks; ${(100 * sameAsFaultFree).toFixed(1)} % as without faults`,
    ...(pauseMs === undefined ? [] : [`pauses of readers: ${describe(pauseMs)}`]),
    ...describeEach(report.pauseMsByCause),
    'from the fault to the next answer',
    ...describeEach(report.nextAnswerMs),
    'what the daemons hold',
    ...held,
    ...failuresOf(report).map((failure) => `FAILED: ${failure}`),
  ].join('\n');
}

function describeEach(summaries: Readonly<Record<string, Summary>>): readonly string[] {
  return Object.entries(summaries).map(([cause, summary]) => `  ${cause.padEnd(20)} ${describe(summary)}`);
}

function describe({ p50, p95, max, n }: Summary): string {
  return `p50 ${seconds(p50)}, p95 ${seconds(p95)}, max ${seconds(max)} (n ${n})`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
