import { isDeepStrictEqual } from 'node:util';

import type { Card, DeploymentSpec, Scaling } from '@skein/protocol';

import type { ModelDemand } from './demand.ts';
import type { DesiredDeployment } from './desired-state.ts';
import type { Progress } from './reconcile.ts';

/** The terms by which one model's replicas come and go, and the spec of those that come. Plain data. */
export interface ModelScaling extends Scaling {
  /** Stands for the model while no replica of it is loaded. */
  readonly id: string;
  /** Name of the model, for the time in which nobody shows it. */
  readonly name: string;
  readonly spec: DeploymentSpec;
}

/** One step towards the number of replicas that a model is to have. */
export type ScalingAction =
  /** `isExtra`: demand asks for it, not the least number. It goes as it came. */
  | { readonly type: 'add'; readonly id: string; readonly scaling: ModelScaling; readonly isExtra: boolean }
  | { readonly type: 'scale-down'; readonly id: string };

/** The replicas of one model, and the demand for it. */
export interface ScaledModel {
  /** Those that serve, or are about to. */
  readonly replicas: readonly { readonly deployment: DesiredDeployment; readonly progress: Progress }[];
  readonly demand: ModelDemand | undefined;
  /** The moment at which demand last asked for one more; undefined before. */
  readonly addedAtMs: number | undefined;
  readonly nowMs: number;
}

/** Time for which requests have to wait, while all replicas serve, for one more to be worth its loading, in milliseconds. */
export const waitBeforeAddingMs = 10_000;
/** Least time between two replicas that demand asks for: so long takes it to see what the first one is good for. */
export const pauseAfterAddingMs = 60_000;

/**
 * Decides which replicas of a model are to come and go. One more comes when requests have waited for ten seconds while all
 * replicas served, one in a minute at most. One goes when the demand would have been met without it for as long as the
 * terms say, and all that may when nobody asked for so long. The two conditions exclude each other, and their times are far
 * apart, so it does not swing.
 */
export function scale(scaling: ModelScaling, model: ScaledModel): readonly ScalingAction[] {
  const { replicas: range, idleMs } = scaling;
  if (range === undefined) return [];
  const { replicas, demand, nowMs } = model;
  const count = replicas.length;
  const add = (isExtra: boolean): ScalingAction => ({ type: 'add', id: scaling.id, scaling, isExtra });
  if (count < range.min) return Array.from({ length: range.min - count }, () => add(false));
  if (count > range.max) return leave(scaling, replicas, count - range.max);
  if (count < range.max && isShort(model)) return [add(true)];
  if (count <= range.min || idleMs === undefined || demand === undefined) return [];
  const isIdle = demand.running + demand.waiting === 0;
  if (isIdle && nowMs - demand.usedAtMs >= idleMs) return leave(scaling, replicas, count - range.min, { last: true });
  const isSpare = demand.spareSinceMs !== undefined && nowMs - demand.spareSinceMs >= idleMs;
  return isSpare ? leave(scaling, replicas, 1, { last: isIdle }) : [];
}

/** Tells whether one more replica is worth its loading: the first one is asked for by the request that needs it. */
function isShort({ replicas, demand, addedAtMs = Number.NEGATIVE_INFINITY, nowMs }: ScaledModel): boolean {
  if (demand?.waitingSinceMs === undefined || replicas.length === 0) return false;
  const readySince = replicas.map(({ progress }) => (progress.step === 'placed' ? progress.readySinceMs : undefined));
  const newestMs = Math.max(...readySince.map((since) => since ?? Infinity));
  const waitedMs = nowMs - Math.max(demand.waitingSinceMs, newestMs);
  return waitedMs >= waitBeforeAddingMs && nowMs - addedAtMs >= pauseAfterAddingMs;
}

/**
 * Chooses the replicas that go: first those of another spec, then those that do not serve yet, then the newest. One that
 * serves stays while no other one does, unless the last one may go, too.
 */
function leave(
  { spec }: ModelScaling,
  replicas: ScaledModel['replicas'],
  count: number,
  { last = false } = {},
): readonly ScalingAction[] {
  const ranked = replicas.map(({ deployment, progress }, index) => {
    const isServing = progress.step === 'placed' && progress.status.state === 'ready';
    const rank = isDeepStrictEqual(deployment.spec, spec) ? (isServing ? 2 : 1) : 0;
    return { id: deployment.id, isServing, rank, index };
  });
  let serving = ranked.filter(({ isServing }) => isServing).length;
  const leaving: ScalingAction[] = [];
  for (const { id, isServing } of ranked.toSorted((a, b) => a.rank - b.rank || b.index - a.index).slice(0, count)) {
    if (isServing && serving === 1 && !last) continue;
    if (isServing) serving -= 1;
    leaving.push({ type: 'scale-down', id });
  }
  return leaving;
}

/** Tells whether a deployment has a stage on a machine that is being drained: another one takes its place already. */
export function isMovedOff({ status }: Extract<Progress, { step: 'placed' }>, cards: readonly Card[]): boolean {
  const drained = new Set(cards.filter(({ draining }) => draining === true).map(({ peer }) => peer));
  return status.stages.some(({ peer }) => drained.has(peer));
}
