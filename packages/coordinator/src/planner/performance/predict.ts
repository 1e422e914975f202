import { invariant, limits, microBatchRows, type ModelShape, type PlannedSpec, type Prediction } from '@skein/protocol';

import { hopNs, occupancyNs, rowBytes } from './hop-time.ts';
import type { LinkOf } from './links.ts';
import { decodeNs, prefillNs, type StageTime } from './stage-time.ts';

/** Tokens of the prompt whose time to first token is predicted. */
const promptTokens = 512;
/** Time of a step beside what stages compute: the lead's scheduling and the way of a token to its reader. */
const stepNs = 200_000;
/** Most rows of a micro-batch on a CPU, where more would round otherwise. */
const cpuRows = 63;

/** A stage of a replica whose speed is predicted. */
export interface TimedStage {
  readonly peer: string;
  readonly time: StageTime;
  readonly isMeasured: boolean;
}

/** The replica whose speed is predicted. */
export interface TimedReplica {
  /** Stages in pipeline order. */
  readonly stages: readonly TimedStage[];
  readonly linkOf: LinkOf;
  readonly shape: Pick<ModelShape, 'hiddenSize'>;
  readonly spec: PlannedSpec;
  /** Rows of the largest micro-batch. */
  readonly microBatchRows: number;
}

/** Returns the number of sequences in each micro-batch of a pipeline that is full: one micro-batch is in flight for each stage. */
export function rowsInFlight(sequences: number, stages: number): number {
  return Math.ceil(sequences / Math.min(sequences, stages));
}

/**
 * Predicts the speed of a replica that nobody else uses, while contexts are short, without drafts:
 *
 *     one stream   1 / (step + Σ stage(1) + Σ hop)
 *     saturated    sequences / max(P · max(stage(r), link(r)), step + Σ stage(r) + Σ hop(r)), r = sequences / P rows
 *     prefill      R / max(stage(R), link(R)), with the largest micro-batch R
 *     TTFT         the first micro-batch through all stages, the others behind it, the output matrix, the way back
 *
 * for P stages, where stage(r) = a + b · r and a hop is half a round trip and the bytes of its rows. Prefill and TTFT are those
 * of a prompt of 512 tokens, each of which attends to half of them in the mean.
 */
export function predict({ stages, linkOf, shape, spec, ...rest }: TimedReplica): Omit<Prediction, 'objective'> {
  const bytes = rowBytes(shape, spec);
  const peers = stages.map(({ peer }) => peer);
  const links = peers.slice(1).map((peer, index) => linkOf(invariant(peers[index], 'it has a stage before'), peer));
  const [lead, tail] = [peers[0], peers.at(-1)];
  const isRing = lead !== undefined && tail !== undefined && lead !== tail;
  const wayBackNs = isRing ? hopNs(linkOf(tail, lead), 0) : 0;
  const hopsNs = (rows: number) => links.reduce((sum, link) => sum + hopNs(link, bytes * rows), wayBackNs);
  const passNs = (rows: number, timeOf: (time: StageTime, rows: number) => number) =>
    stepNs + hopsNs(rows) + stages.reduce((sum, { time }) => sum + timeOf(time, rows), 0);
  const slowestNs = (rows: number, timeOf: (time: StageTime, rows: number) => number) =>
    Math.max(...stages.map(({ time }) => timeOf(time, rows)), ...links.map((link) => occupancyNs(link, bytes * rows)));

  const { sequences } = spec;
  const inFlight = Math.min(sequences, stages.length);
  const rows = rowsInFlight(sequences, stages.length);
  const roundNs = Math.max(inFlight * slowestNs(rows, decodeNs), passNs(rows, decodeNs));

  const largest =
    rest.microBatchRows > microBatchRows.cpu ? Math.min(rest.microBatchRows, limits.maxBatchTokens) : cpuRows;
  const prefillRows = Math.min(largest, spec.contextTokens);
  const prompt = Math.min(promptTokens, spec.contextTokens);
  const readNs = (time: StageTime, count: number) => prefillNs(time, count, prompt / 2);
  const chunkNs = slowestNs(prefillRows, readNs);
  const further = Math.max(0, Math.ceil(prompt / prefillRows) - 1);
  const first = Math.min(prompt, prefillRows);
  const headNs = stages.reduce((sum, { time }) => sum + time.headNs, 0);
  return {
    oneStreamTokensPerSecond: 1e9 / passNs(1, decodeNs),
    saturatedTokensPerSecond: (1e9 * sequences) / roundNs,
    sequences,
    prefillTokensPerSecond: (1e9 * prefillRows) / chunkNs,
    promptTokens: prompt,
    ttftMs: (passNs(first, readNs) + further * chunkNs + headNs) / 1e6,
    isMeasured: stages.every((stage) => stage.isMeasured),
  };
}
