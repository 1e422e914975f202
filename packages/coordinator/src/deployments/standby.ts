import { isDeepStrictEqual } from 'node:util';

import { isSkeinError, mayFitWithLess, SkeinError, type Card, type DeploymentStatus } from '@skein/protocol';

import type { PlanSnapshot } from '../planner/index.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { placeDeployment, type Placement } from './placement.ts';
import type { Progress } from './reconcile.ts';
import type { ModelScaling } from './scaling.ts';

/**
 * One step towards the number of standbys that a model is to have. `promote` makes a standby serve like any other replica,
 * `insteadOf` one that has no place of its own.
 */
export type StandbyAction =
  | { readonly type: 'add-standby'; readonly id: string; readonly scaling: ModelScaling }
  | { readonly type: 'promote'; readonly id: string; readonly insteadOf?: string | undefined }
  | { readonly type: 'scale-down'; readonly id: string };

/** A deployment that is to serve, with its progress. */
export interface Serving {
  readonly deployment: DesiredDeployment;
  readonly progress: Progress;
}

/** The replicas and standbys of one model. */
export interface StandbyModel {
  /** Its terms; undefined where it has none. */
  readonly terms: ModelScaling | undefined;
  /** Replicas that serve or are about to, without standbys. */
  readonly replicas: readonly Serving[];
  readonly standbys: readonly Serving[];
  /** Number of further ones that are about to serve, or to leave a drained machine for others that are there already. */
  readonly others: number;
  /** Whether somebody needs a replica: requests run or wait, or one was lost that nobody places again. */
  readonly isNeeded: boolean;
}

/** Tells whether a deployment serves. */
export function isReady({ progress }: Pick<Serving, 'progress'>): boolean {
  return progress.step === 'placed' && progress.status.state === 'ready';
}

/**
 * Decides which standbys of a model are to come and go. They come once a replica serves, and go with the last one; but where
 * that was lost, one of them takes its place.
 */
export function standBy({ terms, replicas, standbys, others, isNeeded }: StandbyModel): readonly StandbyAction[] {
  if (replicas.length === 0 && terms !== undefined && isNeeded) {
    const ready = standbys.find(isReady);
    if (ready !== undefined) return [{ type: 'promote', id: ready.deployment.id }];
  }
  const wanted = replicas.length === 0 ? 0 : (terms?.standby ?? 0);
  const stays = standbys.toSorted((one, other) => Number(isReady(other)) - Number(isReady(one)));
  const leaving = stays.slice(wanted).map(({ deployment: { id } }) => ({ type: 'scale-down' as const, id }));
  const missing = Math.max(0, wanted - standbys.length - others);
  if (terms === undefined || missing === 0 || !replicas.some(isReady)) return leaving;
  return Array.from({ length: missing }, () => ({ type: 'add-standby', id: terms.id, scaling: terms }));
}

/**
 * Plans a standby with the context of the replicas that it stands in for, and over other stages where it does not fit over
 * those that were asked for.
 *
 * @param options.replicaTokens tokens of the largest context of those replicas; undefined where none has a place
 * @throws SkeinError the planner's, with the reason for which no standby is there
 */
export function placeStandby(
  { name, spec, avoid }: Pick<DesiredDeployment, 'avoid' | 'name' | 'spec'>,
  {
    mesh,
    contextTokens,
    replicaTokens,
  }: {
    readonly mesh: PlanSnapshot;
    readonly contextTokens: number | undefined;
    readonly replicaTokens: number | undefined;
  },
): Placement {
  const asAsked = { ...spec, contextTokens: spec.contextTokens ?? replicaTokens };
  let failure: SkeinError | undefined;
  for (const candidate of [asAsked, { ...asAsked, stages: undefined, layers: undefined }]) {
    try {
      return placeDeployment({ spec: candidate, isReplacement: false, avoid }, mesh, contextTokens);
    } catch (error) {
      if (!isSkeinError(error)) throw error;
      failure ??= error;
      if (!mayFitWithLess(error.code)) break;
    }
  }
  throw noStandby(name, failure);
}

function noStandby(name: string, cause: SkeinError | undefined): SkeinError {
  const { code = 'no-peers', message = '', details = {} } = cause ?? {};
  return new SkeinError(code, `no standby of ${name} yet: beside the machines that serve it, ${message}`, {
    cause,
    details,
  });
}

/**
 * Tells whether a standby can serve instead of another deployment: it was asked for alike, has as much context, and lies on
 * no machine where the model's weights are wrong. One that replaces a lost one takes other stages, too.
 */
export function mayStandIn({ deployment, progress }: Serving, wanted: DesiredDeployment): boolean {
  if (!isReady({ progress }) || progress.step !== 'placed') return false;
  const { contextTokens, stages } = progress.status;
  const { avoid = [], spec, isReplacement } = wanted;
  if (contextTokens < (spec.contextTokens ?? 0) || stages.some(({ peer }) => avoid.includes(peer))) return false;
  const alike = { contextTokens: undefined, ...(isReplacement && { stages: undefined, layers: undefined }) };
  return isDeepStrictEqual({ ...deployment.spec, ...alike }, { ...spec, ...alike });
}

/** Tells whether the card of a deployment's lead shows a standby. */
export function isShownAsStandby({ id, stages }: DeploymentStatus, cards: readonly Card[]): boolean {
  const lead = cards.find(({ peer }) => peer === stages[0]?.peer);
  return lead?.stages.some((held) => held.deployment === id && held.stage === 0 && held.standby === true) === true;
}
