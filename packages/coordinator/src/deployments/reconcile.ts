import { isDeepStrictEqual } from 'node:util';

import {
  isSkeinError,
  SkeinError,
  type Card,
  type DeploymentOptions,
  type DeploymentSpec,
  type DeploymentStatus,
  type ModelManifest,
} from '@skein/protocol';

import type { PlacedStage } from '../planner/index.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { placeDeployment, placedStages, type Placement } from './placement.ts';

/**
 * The progress of a desired deployment. `asked`: nothing was done for it yet; it waits for memory that lost deployments
 * held until it is `overdue`. `fetching`, then `fetched` or `not-fetched`: the model's manifest, without which there is
 * no plan, and meanwhile the newest cards. `placed`: on its peers, with a status of its own.
 */
export type Progress =
  | { readonly step: 'asked' | 'overdue' | 'fetching' }
  | { readonly step: 'fetched'; readonly manifest: ModelManifest }
  | { readonly step: 'not-fetched'; readonly error: unknown }
  | { readonly step: 'placed'; readonly status: DeploymentStatus };

/** The mesh as it is now: nothing else enters a decision. */
export interface Observed {
  readonly cards: readonly Card[];
  /** Progress of every desired deployment, by id. */
  readonly progress: ReadonlyMap<string, Progress>;
  /** Ids of deployments that are no longer desired, and were placed. */
  readonly ended: Pick<ReadonlySet<string>, 'has'>;
}

/** One step towards the desired state. `remove` takes a lost deployment off the list, `refuse` one that can't be placed. */
export type Action =
  | { readonly type: 'fetch' | 'drain' | 'hand-over' | 'close' | 'remove'; readonly id: string }
  | { readonly type: 'place'; readonly id: string; readonly placement: Placement }
  | { readonly type: 'refuse'; readonly id: string; readonly error: unknown };

export interface ReconcileOptions {
  /** Most tokens of a context that a spec leaves out. Default 4096. */
  readonly contextTokens?: number | undefined;
}

/**
 * Decides the next steps by which the mesh becomes as desired. Pure: equal arguments, equal actions. Call it again once
 * the actions are begun, and whenever something changes; it returns none when there is nothing to do or all of it is
 * under way. A lost deployment is not placed again by itself: a request replaces it, by way of {@link deploymentFor}.
 */
export function reconcile(
  desired: readonly DesiredDeployment[],
  observed: Observed,
  { contextTokens }: ReconcileOptions = {},
): readonly Action[] {
  const actions: Action[] = [];
  const statuses = statusesOf(desired, observed);
  const mustWait = isMemoryHeldByLost(statuses, observed);
  let placed = placedStages(statuses);
  for (const deployment of desired) {
    const { id, goal, spec } = deployment;
    const progress = progressOf(observed, id);
    if (goal !== 'serve') {
      const action = takeDown(deployment, progress);
      if (action !== undefined) actions.push({ type: action, id });
    } else if (progress.step === 'overdue' || (progress.step === 'asked' && !mustWait)) {
      actions.push({ type: 'fetch', id });
    } else if (progress.step === 'not-fetched') {
      actions.push({ type: 'refuse', id, error: progress.error });
    } else if (progress.step === 'fetched') {
      const { manifest } = progress;
      try {
        const placement = placeDeployment(deployment, { cards: observed.cards, manifest, placed }, contextTokens);
        // The next one in this very list sees the memory that this one takes.
        placed = [...placed, ...stagesToLoad(id, placement)];
        const lost = statuses.filter(({ model, state }) => model === spec.model && state === 'failed');
        actions.push({ type: 'place', id, placement }, ...lost.map((one) => ({ type: 'remove' as const, id: one.id })));
      } catch (error) {
        actions.push({ type: 'refuse', id, error: untilDrained(error, statuses) });
      }
    }
  }
  return actions;
}

/** Requests for a model, and whether any replica of it answers them. */
export interface DemandFor {
  /** SHA-256. */
  readonly model: string;
  /** Options that a replica must have been asked for, or planned with. Default: any will do. */
  readonly options?: DeploymentOptions | undefined;
  /** Ids of deployments that have just failed a request: none of them is taken. Default: none. */
  readonly failed?: readonly string[] | undefined;
}

/** The deployment that answers a request for a model: a desired one, or one that is to be added to the desired state. */
export type Demand =
  { readonly type: 'use'; readonly id: string } | { readonly type: 'add'; readonly spec: DeploymentSpec | undefined };

/**
 * Chooses a deployment for requests to a model: the first that serves, else the last that is about to. Where there is
 * neither, a new one, with the spec of the one that was lost last if there is one.
 */
export function deploymentFor(
  { model, options = {}, failed = [] }: DemandFor,
  desired: readonly DesiredDeployment[],
  observed: Observed,
): Demand {
  const candidates = desired.filter(
    (one) => one.spec.model === model && one.goal === 'serve' && isAsAsked(one, options, progressOf(observed, one.id)),
  );
  const stateOf = ({ id }: DesiredDeployment) => {
    const progress = progressOf(observed, id);
    return progress.step === 'placed' ? progress.status.state : 'loading';
  };
  const serving = candidates.find((one) => stateOf(one) === 'ready' && !failed.includes(one.id));
  const coming = candidates.findLast((one) => ['loading', 'connecting'].includes(stateOf(one)));
  const chosen = serving ?? coming;
  if (chosen !== undefined) return { type: 'use', id: chosen.id };
  return { type: 'add', spec: candidates.findLast((one) => stateOf(one) === 'failed')?.spec };
}

/** Tells whether a deployment was asked for with these options, or has come to have them. */
function isAsAsked({ spec }: DesiredDeployment, options: DeploymentOptions, progress: Progress): boolean {
  const { status } = progress.step === 'placed' ? progress : {};
  const planned = status === undefined ? {} : { ...status, stages: status.stages.length };
  const has: DeploymentOptions = { ...spec, ...planned };
  return Object.entries(options).every(
    ([name, value]) => value === undefined || isDeepStrictEqual(has[name as keyof DeploymentOptions], value),
  );
}

/** Returns the next step for a deployment that is to go; undefined while its answers run. */
function takeDown({ goal }: DesiredDeployment, progress: Progress): 'drain' | 'hand-over' | 'close' | undefined {
  if ((goal === 'drain' || goal === 'hand-over') && progress.step === 'placed') {
    const { state, running } = progress.status;
    if (state === 'ready') return goal;
    if (state === 'draining' && running !== 0) return undefined;
  }
  return 'close';
}

/**
 * Tells whether a card shows a stage of a deployment of ours that is over. A plan made now would count its memory as taken,
 * and might choose the peer that it was lost with.
 */
function isMemoryHeldByLost(statuses: readonly DeploymentStatus[], { cards, ended }: Observed): boolean {
  const failed = new Set(statuses.filter(({ state }) => state === 'failed').map(({ id }) => id));
  return cards.some(({ stages }) => stages.some(({ deployment }) => ended.has(deployment) || failed.has(deployment)));
}

function stagesToLoad(deployment: string, { plan }: Placement): readonly PlacedStage[] {
  return plan.stages.map(({ peer, bytes }, stage) => ({ peer, deployment, stage, bytes, isLoading: true }));
}

/**
 * Returns the failure of a deployment that does not fit, with the advice to wait while one that is draining has the
 * memory.
 */
function untilDrained(failure: unknown, statuses: readonly DeploymentStatus[]): unknown {
  const draining = statuses.find(({ state }) => state === 'draining');
  if (draining === undefined || !isSkeinError(failure) || failure.code !== 'does-not-fit') return failure;
  const { id, name } = draining;
  return new SkeinError(
    'no-peers',
    `there is no room yet: ${name} is being taken down, and its running answers end first; ask again in a moment, or cut them with \`skein undeploy ${id} --now\``,
    { cause: failure },
  );
}

function statusesOf(desired: readonly DesiredDeployment[], observed: Observed): readonly DeploymentStatus[] {
  return desired.flatMap(({ id }) => {
    const progress = progressOf(observed, id);
    return progress.step === 'placed' ? [progress.status] : [];
  });
}

function progressOf({ progress }: Observed, id: string): Progress {
  return progress.get(id) ?? { step: 'asked' };
}
