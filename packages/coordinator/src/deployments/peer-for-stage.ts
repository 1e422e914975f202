import type { Card, Labels, StageStatus } from '@skein/protocol';

import { hasLabels } from './placement.ts';
import { usablePeers, type PlacedStage } from '../planner/index.ts';

/** A stage that was lost. */
export interface LostStage {
  readonly deployment: string;
  /** SHA-256 of the model. */
  readonly model: string;
  /** Labels that its machine has to have. */
  readonly labels: Labels | undefined;
  /** Number of the stage, from 0. */
  readonly stage: number;
  /** All stages of the deployment, as they were. */
  readonly stages: readonly Pick<StageStatus, 'peer' | 'plannedBytes'>[];
  /** Rows of the largest micro-batch, which all stages take. */
  readonly microBatchRows: number;
  /** Whether its peer has ended it because it stops, so that it can't have it again. Default: no. */
  readonly isLeft?: boolean;
  /** Peers that get it only if they had it. Default: none. */
  readonly closed?: readonly string[];
}

/**
 * Chooses the peer that gets a lost stage: the one that had it, which has its files, where it is there and has room; else
 * the one with the most free memory, holders of the model first on a tie. None of those that hold another stage of the
 * deployment, or are closed to it. Returns undefined when none has room. Pure.
 */
export function peerForStage(
  cards: readonly Card[],
  placed: readonly PlacedStage[],
  { deployment, model, labels = {}, stage, stages, microBatchRows, isLeft = false, closed = [] }: LostStage,
): string | undefined {
  const lost = stages[stage];
  if (lost === undefined) return undefined;
  const isLost = (one: { readonly deployment: string; readonly stage: number }): boolean =>
    one.deployment === deployment && one.stage === stage;
  const without = cards
    .filter((card) => hasLabels(card, labels))
    .map((card) => ({ ...card, stages: card.stages.filter((held) => !isLost(held)) }));
  const holders = stages.flatMap(({ peer }, index) => (index === stage && !isLeft ? [] : peer));
  const others = new Set([...holders, ...closed.filter((peer) => peer !== lost.peer)]);
  const candidates = usablePeers(without, { model, placed: placed.filter((one) => !isLost(one)) }).filter(
    (peer) => peer.freeBytes >= lost.plannedBytes && peer.microBatchRows >= microBatchRows && !others.has(peer.peer),
  );
  return (candidates.find(({ peer }) => peer === lost.peer) ?? candidates[0])?.peer;
}
