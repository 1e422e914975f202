import { microBatchRows, type ModelManifest, type PlannedSpec, type Prediction } from '@skein/protocol';

import { bestSplits, handicap, type ChosenStage, type SplitModel } from './chains.ts';
import type { MemoryUse } from './memory-uses.ts';
import type { LinkOf } from './performance/links.ts';
import { predict } from './performance/predict.ts';
import { peerTimes, type StageTime } from './performance/stage-time.ts';

/** One replica that could be made, with the speed that it would have. */
export interface Candidate {
  /** Stages in pipeline order. */
  readonly stages: readonly ChosenStage[];
  readonly use: MemoryUse;
  /** Rows of the largest micro-batch, which all stages take. */
  readonly microBatchRows: number;
  readonly prediction: Prediction;
  /** The number by which candidates are compared, see {@link candidates}. */
  readonly score: number;
}

/** The replica that is looked for. */
export interface CandidateOptions {
  readonly manifest: ModelManifest;
  readonly spec: PlannedSpec;
  readonly linkOf: LinkOf;
  /** Number of stages, where it is given. */
  readonly stages: number | undefined;
  /** Most stages that the model can be cut into. */
  readonly most: number;
  readonly multiple: number;
  /** Layers after which the stages end, where the request gives them. */
  readonly ends: readonly number[] | undefined;
}

/**
 * Share by which a candidate has to be better than an earlier one to be chosen: more machines are more that can fail, and
 * predictions are not that exact.
 */
const margin = 0.1;
/** Share within which two machines count as equally fast. */
const equallyFast = 0.05;

/**
 * Lists the replicas that fit: for each way to use memory, and each number of stages, the best one. Those that are to be
 * preferred among equals come first.
 *
 * Plans for one stream at a time aim at the least time of its tokens; plans for several sequences at the most tokens of
 * all together, for each machine that takes part: a machine that is left out can serve a further replica.
 */
export function candidates(uses: readonly MemoryUse[], options: CandidateOptions): readonly Candidate[] {
  const { manifest, spec, linkOf, stages, most, multiple, ends } = options;
  const { shape } = manifest;
  const objective = spec.sequences === 1 ? 'one-stream' : 'saturated';
  const timesOf = peerTimes(manifest);
  const model: SplitModel = { shape, spec, multiple, ends, timesOf, linkOf, objective };
  const made = (chosen: readonly ChosenStage[], use: MemoryUse): Candidate => {
    // A stage on a CPU gains nothing by more rows, and would pay for them with memory.
    const rows = Math.min(...chosen.map(({ peer }) => peer.microBatchRows));
    const predicted = (factorOf: (stage: ChosenStage) => number) =>
      predict({
        stages: chosen.map((stage) => {
          const { timeOf, isMeasured } = timesOf(stage.peer);
          const time = timeOf(stage.block, use.layout(stage.block, stage.peer));
          return { peer: stage.peer.peer, time: slowed(time, factorOf(stage)), isMeasured };
        }),
        linkOf,
        shape,
        spec,
        microBatchRows: rows,
      });
    // The lead has seen how far such predictions were from the truth.
    const ratios = chosen[0]?.peer.hardware.ratios;
    const ratio = (chosen.length === 1 ? ratios?.whole : ratios?.split) ?? 1;
    const shared = corrected(
      predicted(({ peer }) => handicap(peer)),
      ratio,
    );
    const score =
      objective === 'one-stream' ? shared.oneStreamTokensPerSecond : shared.saturatedTokensPerSecond / chosen.length;
    return {
      stages: chosen,
      use,
      microBatchRows: rows,
      prediction: {
        objective,
        ...corrected(
          predicted(() => 1),
          ratio,
        ),
      },
      score,
    };
  };
  const block = { from: 0, to: shape.layers };
  const of = (use: MemoryUse): Candidate[] => {
    const found: Candidate[] = [];
    if (stages === undefined || stages === 1) {
      const roomy = use.peers.filter((peer) => use.taken(block, peer) <= peer.freeBytes);
      const whole = bestWhole(roomy.map((peer) => made([{ peer, block }], use)));
      if (whole !== undefined) found.push(whole);
    }
    const lengths = { least: Math.max(2, stages ?? 2), most: Math.min(stages ?? use.peers.length, most) };
    // Splitting never takes less than the whole: no need to try every order to know that it can't fit.
    if (lengths.most < lengths.least || roomOf(use, lengths.most) < use.leastBytes) return found;
    for (const split of bestSplits(use, model, lengths)) {
      if (split !== undefined) found.push(made(split, use));
    }
    return found;
  };
  const all: Candidate[] = [];
  for (const use of uses) {
    const found = of(use);
    all.push(...(found.length > 0 ? found : of(withSmallBuffers(use))));
    // Nothing in slower memory beats a model that lies whole in the fastest.
    if (all[0]?.stages.length === 1) break;
  }
  return all;
}

/** Chooses the first of the candidates that no other one is clearly better than. */
export function choose(all: readonly Candidate[]): Candidate | undefined {
  let chosen: Candidate | undefined;
  for (const candidate of all) {
    if (chosen === undefined || candidate.score > chosen.score * (1 + margin)) chosen = candidate;
  }
  return chosen;
}

/**
 * Chooses the machine for a whole model: first one that serves none of it yet; once all do, the one whose replicas would
 * be fastest beside each other. Of those about as fast, one that holds the model; of those, the one with the most memory.
 */
function bestWhole(all: readonly Candidate[]): Candidate | undefined {
  const idle = all.filter(({ stages }) => stages.every(({ peer }) => peer.servedStages === 0));
  const eligible = idle.length > 0 ? idle : all;
  const best = Math.max(...eligible.map(({ score }) => score));
  const fast = eligible.filter(({ score }) => score >= best * (1 - equallyFast));
  return fast.find(({ stages }) => stages[0]?.peer.holdsModel === true) ?? fast[0];
}

function corrected<Speeds extends Pick<Prediction, 'oneStreamTokensPerSecond' | 'saturatedTokensPerSecond'>>(
  speeds: Speeds,
  ratio: number,
): Speeds {
  const { oneStreamTokensPerSecond, saturatedTokensPerSecond } = speeds;
  return {
    ...speeds,
    oneStreamTokensPerSecond: oneStreamTokensPerSecond * ratio,
    saturatedTokensPerSecond: saturatedTokensPerSecond * ratio,
  };
}

function slowed(time: StageTime, factor: number): StageTime {
  return {
    rowNs: time.rowNs * factor,
    furtherRowNs: time.furtherRowNs * factor,
    headNs: time.headNs * factor,
    furtherHeadNs: time.furtherHeadNs * factor,
    attentionNs: time.attentionNs * factor,
  };
}

function roomOf({ peers }: MemoryUse, count: number): number {
  return peers.slice(0, count).reduce((sum, { freeBytes }) => sum + freeBytes, 0);
}

/** Returns the same use by peers with the micro-batches of a CPU, whose buffers fit where others do not. */
function withSmallBuffers(use: MemoryUse): MemoryUse {
  return { ...use, peers: use.peers.map((peer) => ({ ...peer, microBatchRows: microBatchRows.cpu })) };
}
