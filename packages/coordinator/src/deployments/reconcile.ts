import { isDeepStrictEqual } from 'node:util';

import {
  fromWireError,
  isSkeinError,
  SkeinError,
  type Card,
  type DeploymentOptions,
  type DeploymentSpec,
  type DeploymentStatus,
  type HeldStage,
  type ModelManifest,
} from '@skein/protocol';

import type { PlacedStage, PlanSnapshot } from '../planner/index.ts';
import type { ModelDemand } from './demand.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { cardsWithout, isForRoom, makeRoom, residenceMs, roomWaitMs, type Room, type RoomHolder } from './eviction.ts';
import { whereabouts, type LastPlacement } from './last-placement.ts';
import { placeDeployment, placedStages, stagesToLoad, type Placement } from './placement.ts';
import { machinesOf, mayPass } from './retry.ts';
import { isMovedOff, scale, type ModelScaling, type ScalingAction } from './scaling.ts';
import {
  isShownAsStandby,
  mayStandIn,
  placeStandby,
  isReady,
  standBy,
  type Serving,
  type StandbyAction,
} from './standby.ts';

/**
 * The progress of a desired deployment. `restored`: an earlier coordinator had it placed; it is looked for on the cards
 * until it is `overdue`. `asked`: nothing was done for it yet; it waits for memory that lost deployments held until it is
 * `overdue`. `fetching`, then `fetched` or `not-fetched`: the model's manifest, without which there is no plan, and
 * meanwhile the newest cards. A fetched one may wait for room for a while. `waiting`: it could not be placed, and is tried again when it is due, or the machines are
 * others than these. `placed`: on its peers, with a status of its own.
 */
export type Progress =
  | { readonly step: 'restored' | 'asked' | 'overdue' | 'fetching' }
  | { readonly step: 'fetched'; readonly manifest: ModelManifest; readonly sinceMs: number }
  | { readonly step: 'not-fetched'; readonly error: unknown }
  | { readonly step: 'waiting'; readonly isDue: boolean; readonly machines: string }
  | { readonly step: 'placed'; readonly status: DeploymentStatus; readonly readySinceMs?: number | undefined };

/** The mesh as it is now, and the demand: nothing else enters a decision. Times are of one monotonic clock. */
export interface Observed {
  readonly cards: readonly Card[];
  /** Progress of every desired deployment, by id. */
  readonly progress: ReadonlyMap<string, Progress>;
  /** Ids of deployments that are no longer desired, and were placed. */
  readonly ended: Pick<ReadonlySet<string>, 'has'>;
  readonly nowMs: number;
  /** The requests for each model, by its SHA-256. */
  readonly demand: ReadonlyMap<string, ModelDemand>;
  /** The moment at which demand last asked for one more replica, by model. */
  readonly addedAtMs: ReadonlyMap<string, number>;
}

/**
 * One step towards the desired state. `adopt` takes over what an earlier coordinator has left, `wait` puts a deployment
 * off, and `retry` begins it again; `replace` adds another one in place of one that was lost. `remove` takes a lost
 * deployment off the list, `refuse` one that can't be placed. `evict` takes one down to make room `for` another. `release` unloads a stage that its peer still holds, as one
 * that could not be reached when its deployment was lost. `serve` tells the lead of one that was a standby that it is none
 * any more.
 */
export type Action =
  | { readonly type: 'fetch' | 'drain' | 'hand-over' | 'close' | 'remove' | 'retry' | 'replace'; readonly id: string }
  | { readonly type: 'adopt'; readonly id: string; readonly placement: LastPlacement }
  | { readonly type: 'release'; readonly id: string; readonly peer: string; readonly stage: number }
  | { readonly type: 'place'; readonly id: string; readonly placement: Placement }
  | { readonly type: 'refuse' | 'wait'; readonly id: string; readonly error: unknown }
  | { readonly type: 'evict'; readonly id: string; readonly for: string }
  | { readonly type: 'serve'; readonly id: string }
  | ScalingAction
  | StandbyAction;

export interface ReconcileOptions {
  /** Most tokens of a context that a spec leaves out. Default 4096. */
  readonly contextTokens?: number | undefined;
  /** The terms by which replicas of some models come and go by themselves. Default: none do. */
  readonly scaling?: readonly ModelScaling[] | undefined;
}

/**
 * Decides the next steps by which the mesh becomes as desired. Pure: equal arguments, equal actions. Call it again once
 * the actions are begun, and whenever something changes; it returns none when there is nothing to do or all of it is
 * under way. A lost deployment that was asked for is placed again; one that a request made is replaced by the next
 * request, by way of {@link deploymentFor}. A request for a model that is not served may take replicas of others down
 * to make room ({@link makeRoom}); nothing else does. Replicas of models with terms come and go by demand ({@link scale}).
 * Standbys get what all others leave, make room for any of them, and serve in place of one that has no place of its own
 * ({@link standBy}).
 */
export function reconcile(
  desired: readonly DesiredDeployment[],
  observed: Observed,
  { contextTokens, scaling = [] }: ReconcileOptions = {},
): readonly Action[] {
  const actions: Action[] = [];
  const statuses = statusesOf(desired, observed);
  const remnants = remnantsOf(statuses, observed);
  for (const { peer, deployment, stage, state } of remnants) {
    if (state === 'ready') actions.push({ type: 'release', id: deployment, peer, stage });
  }
  // A plan made now would count their memory as taken, and might choose the peer that was lost with them.
  const mustWait = remnants.length > 0;
  let placed = placedStages(statuses);
  const evicted = new Set<string>();
  const promoted = new Set<string>();
  const replaceLost = ({ spec }: DesiredDeployment): readonly Action[] => {
    const lost = desired.filter((one) => one.spec.model === spec.model && isOver(one, observed));
    return lost.map((one) => ({ type: 'remove', id: one.id }));
  };
  /** Has a standby serve instead of a deployment that has no place. Returns whether there is one. */
  const promote = (deployment: DesiredDeployment): boolean => {
    const standIn = standInsFor(deployment, desired, observed).find((one) => !promoted.has(one.deployment.id));
    if (standIn === undefined) return false;
    const { id } = standIn.deployment;
    promoted.add(id);
    actions.push({ type: 'promote', id, insteadOf: deployment.id }, ...replaceLost(deployment));
    return true;
  };
  for (const deployment of standbysLast(desired)) {
    const { id, goal } = deployment;
    const progress = progressOf(observed, id);
    if (goal !== 'serve') {
      const action = takeDown(deployment, progress);
      if (action !== undefined) actions.push({ type: action, id });
    } else if (progress.step === 'fetched') {
      const { manifest, sinceMs } = progress;
      try {
        const mesh = { cards: observed.cards, manifest, placed };
        const placement = place(deployment, { desired, observed, mesh, contextTokens });
        // The next one in this very list sees the memory that this one takes.
        placed = [...placed, ...stagesToLoad(deployment, placement)];
        actions.push({ type: 'place', id, placement }, ...replaceLost(deployment));
      } catch (error) {
        if (promote(deployment)) continue;
        const world = { desired, observed, placed, scaling, evicted, promoted, contextTokens };
        const room = isForRoom(error) ? roomFor(deployment, { manifest, sinceMs, failure: error }, world) : undefined;
        if (room?.type === 'evict' || room?.type === 'later') {
          // Other plans leave that room alone meanwhile.
          placed = [...placed, ...stagesToLoad(deployment, room.placement)];
          for (const one of room.type === 'evict' ? room.ids : []) {
            evicted.add(one);
            actions.push({ type: 'evict', id: one, for: id });
          }
        } else {
          actions.push(afterFailure(deployment, untilDrained(room?.error ?? error, statuses)));
        }
      }
    } else if (!(isOutOfPlace(progress) && promote(deployment))) {
      const action = nextStep(deployment, progress, { ...observed, mustWait });
      if (action !== undefined) actions.push(action);
    }
  }
  const scaled = scaling.flatMap((terms) => scale(terms, scaledModel(terms, desired, observed)));
  return [...actions, ...scaled, ...standbyActions(desired, observed, { scaling, promoted })];
}

/** Returns the deployments with standbys at the end: they get what others leave. */
function standbysLast(desired: readonly DesiredDeployment[]): readonly DesiredDeployment[] {
  return desired.toSorted((one, other) => Number(one.isStandby === true) - Number(other.isStandby === true));
}

/** Tells whether a deployment has no place, and does not just look for one. */
function isOutOfPlace({ step }: Progress): boolean {
  return step === 'waiting' || step === 'not-fetched';
}

/** Returns the deployments of a model that are to serve, standbys or others, with their progress; none that is over. */
function servingOf(
  { model, isStandby }: { readonly model: string; readonly isStandby: boolean },
  desired: readonly DesiredDeployment[],
  observed: Observed,
): readonly Serving[] {
  return desired
    .filter(({ spec, goal, replacedBy }) => spec.model === model && goal === 'serve' && replacedBy === undefined)
    .filter((one) => (one.isStandby === true) === isStandby)
    .filter((deployment) => !isOver(deployment, observed))
    .map((deployment) => ({ deployment, progress: progressOf(observed, deployment.id) }));
}

/** Tells whether a deployment is about to leave a machine that is being drained: another one takes its place already. */
function isLeaving({ progress }: Serving, { cards }: Pick<Observed, 'cards'>): boolean {
  return progress.step === 'placed' && isMovedOff(progress, cards);
}

/** Returns the standbys that can serve instead of a deployment; none for a standby. */
function standInsFor(
  wanted: DesiredDeployment,
  desired: readonly DesiredDeployment[],
  observed: Observed,
): readonly Serving[] {
  if (wanted.isStandby === true) return [];
  const standbys = servingOf({ model: wanted.spec.model, isStandby: true }, desired, observed);
  return standbys.filter((one) => !isLeaving(one, observed) && mayStandIn(one, wanted));
}

/**
 * Returns the peers that get no stage of a deployment: those that it is to avoid; for a standby, those of the replicas and
 * of the other standbys of its model, which are not to be lost with it; for any other, those of standbys that can serve
 * instead of it.
 */
export function closedPeers(
  deployment: DesiredDeployment,
  { desired, observed, placed }: Pick<RoomWorld, 'desired' | 'observed' | 'placed'>,
): readonly string[] {
  const { id, avoid = [], spec, isStandby } = deployment;
  const apart =
    isStandby === true
      ? [true, false].flatMap((one) => servingOf({ model: spec.model, isStandby: one }, desired, observed))
      : standInsFor(deployment, desired, observed);
  const ids = new Set(apart.map((one) => one.deployment.id));
  return [
    ...avoid,
    ...placed.filter((stage) => stage.deployment !== id && ids.has(stage.deployment)).map(({ peer }) => peer),
  ];
}

/**
 * Plans a deployment on none of its {@link closedPeers}.
 *
 * @throws SkeinError as {@link placeDeployment} and {@link placeStandby} do
 */
function place(
  deployment: DesiredDeployment,
  {
    desired,
    observed,
    mesh,
    contextTokens,
  }: Pick<RoomWorld, 'desired' | 'observed' | 'contextTokens'> & { readonly mesh: PlanSnapshot },
): Placement {
  const avoid = closedPeers(deployment, { desired, observed, placed: mesh.placed ?? [] });
  if (deployment.isStandby !== true) return placeDeployment({ ...deployment, avoid }, mesh, contextTokens);
  const replicas = servingOf({ model: deployment.spec.model, isStandby: false }, desired, observed);
  const contexts = replicas.flatMap(({ progress }) =>
    progress.step === 'placed' ? progress.status.contextTokens : [],
  );
  const replicaTokens = contexts.length === 0 ? undefined : Math.max(...contexts);
  return placeStandby({ ...deployment, avoid }, { mesh, contextTokens, replicaTokens });
}

/** Decides which standbys come and go. */
function standbyActions(
  desired: readonly DesiredDeployment[],
  observed: Observed,
  { scaling, promoted }: Pick<RoomWorld, 'scaling' | 'promoted'>,
): readonly StandbyAction[] {
  const standbys = desired.filter(({ isStandby }) => isStandby === true);
  const models = new Set([...standbys, ...scaling].map(({ spec }) => spec.model));
  return [...models].flatMap((model) => {
    const demand = observed.demand.get(model);
    const isLost = desired.some((one) => one.spec.model === model && one.isStandby !== true && isOver(one, observed));
    const all = servingOf({ model, isStandby: true }, desired, observed);
    const present = all.filter((one) => !isLeaving(one, observed) && !promoted.has(one.deployment.id));
    return standBy({
      terms: scaling.find(({ spec }) => spec.model === model),
      replicas: servingOf({ model, isStandby: false }, desired, observed),
      standbys: present,
      others: all.length - present.length,
      isNeeded: isLost || (demand !== undefined && demand.running + demand.waiting > 0),
    });
  });
}

/** Collects the replicas of a model that serve or are about to, and the demand for it. */
function scaledModel({ spec: { model } }: ModelScaling, desired: readonly DesiredDeployment[], observed: Observed) {
  const all = servingOf({ model, isStandby: false }, desired, observed);
  const replicas = all.filter((one) => !isLeaving(one, observed));
  const { nowMs } = observed;
  return { replicas, demand: observed.demand.get(model), addedAtMs: observed.addedAtMs.get(model), nowMs };
}

/** The world in which room is looked for. */
interface RoomWorld {
  readonly desired: readonly DesiredDeployment[];
  readonly observed: Observed;
  readonly placed: readonly PlacedStage[];
  readonly scaling: readonly ModelScaling[];
  /** Ids of deployments that are taken down already for others. */
  readonly evicted: ReadonlySet<string>;
  /** Ids of standbys that are none any more. */
  readonly promoted: ReadonlySet<string>;
  readonly contextTokens: number | undefined;
}

/**
 * Looks for room for a deployment that does not fit. Others make room for a model that is asked for and not served, and
 * standbys for any deployment that is none; it waits for that, and for those that do to be gone, for a minute at most.
 */
function roomFor(
  deployment: DesiredDeployment,
  {
    manifest,
    sinceMs,
    failure,
  }: { readonly manifest: ModelManifest; readonly sinceMs: number; readonly failure: SkeinError },
  { desired, observed, placed, scaling, evicted, promoted, contextTokens }: RoomWorld,
): Room {
  if (deployment.isStandby === true) return { type: 'none', error: failure };
  const { cards, demand, nowMs } = observed;
  const { name, spec } = deployment;
  const fitWithout = (ids: readonly string[]): Placement | undefined => {
    const without = new Set(ids);
    const left = placed.filter((stage) => !without.has(stage.deployment));
    try {
      const snapshot = { cards: cardsWithout(cards, without), manifest, placed: left };
      return placeDeployment(deployment, snapshot, contextTokens);
    } catch {
      return undefined;
    }
  };
  const isLate = nowMs - sinceMs >= roomWaitMs;
  const shown = new Set(cards.flatMap(({ stages }) => stages.map((stage) => stage.deployment)));
  const going = deployment.evicted.filter((one) => shown.has(one) || desired.some((other) => other.id === one));
  const coming = going.length === 0 || isLate ? undefined : fitWithout(going);
  if (coming !== undefined) return { type: 'later', placement: coming, error: failure };
  const isServing = (one: DesiredDeployment) => one.goal === 'serve' && stateOf(one, observed) === 'ready';
  const isAskedFor = (demand.get(spec.model)?.waiting ?? 0) > 0;
  const isServed = desired.some((one) => one.spec.model === spec.model && isServing(one));
  const spare = desired
    .filter((one) => !evicted.has(one.id) && !promoted.has(one.id))
    .filter((one) => isSpare(one, desired, observed));
  const others = desired.filter((one) => isServing(one) && one.spec.model !== spec.model && !evicted.has(one.id));
  const holders = [
    ...spare.map((one) => spareHolderOf(one, cards)),
    ...(isAskedFor && !isServed ? others.filter((one) => !spare.includes(one)) : []).map((one) =>
      holderOf(one, { observed, scaling }),
    ),
  ];
  if (holders.length === 0) return { type: 'none', error: failure };
  const room = makeRoom(name, failure, holders, fitWithout);
  return room.type === 'later' && isLate ? { type: 'none', error: room.error } : room;
}

/** Tells whether a standby has memory that others may have: another replica of its model serves. */
function isSpare(
  { id, goal, isStandby, spec }: DesiredDeployment,
  desired: readonly DesiredDeployment[],
  observed: Observed,
): boolean {
  const progress = progressOf(observed, id);
  if (isStandby !== true || goal !== 'serve' || progress.step !== 'placed' || progress.status.state === 'failed') {
    return false;
  }
  return servingOf({ model: spec.model, isStandby: false }, desired, observed).some(isReady);
}

/** Describes a standby as the first that makes room, once the answers that have moved to it have ended. */
function spareHolderOf({ id, name }: DesiredDeployment, cards: readonly Card[]): RoomHolder {
  const stages = cards.flatMap((card) => card.stages).filter(({ deployment }) => deployment === id);
  const isBusy = stages.some(({ active, queued }) => active + queued > 0);
  return { id, name, usedAtMs: Number.NEGATIVE_INFINITY, stays: isBusy ? 'busy' : undefined };
}

function holderOf(
  { id, name, spec: { model } }: DesiredDeployment,
  { observed, scaling }: Pick<RoomWorld, 'observed' | 'scaling'>,
): RoomHolder {
  const { nowMs } = observed;
  const { running = 0, waiting = 0, usedAtMs = nowMs } = observed.demand.get(model) ?? {};
  const progress = progressOf(observed, id);
  const { readySinceMs = nowMs } = progress.step === 'placed' ? progress : {};
  const isPinned = scaling.some((terms) => terms.spec.model === model && terms.pinned);
  const stays = isPinned
    ? 'pinned'
    : running + waiting > 0
      ? 'busy'
      : nowMs - readySinceMs < residenceMs
        ? 'young'
        : undefined;
  return { id, name, usedAtMs, stays };
}

function stateOf({ id }: DesiredDeployment, observed: Observed): DeploymentStatus['state'] | undefined {
  const progress = progressOf(observed, id);
  return progress.step === 'placed' ? progress.status.state : undefined;
}

/** Returns the next step of a deployment that is to serve and has no plan to be made. */
function nextStep(
  deployment: DesiredDeployment,
  progress: Exclude<Progress, { step: 'fetched' }>,
  { cards, mustWait }: Pick<Observed, 'cards'> & { readonly mustWait: boolean },
): Action | undefined {
  const { id, placement, isOnDemand } = deployment;
  switch (progress.step) {
    case 'restored': {
      if (placement === undefined) return { type: 'fetch', id };
      const where = whereabouts(id, placement, cards);
      if (where === 'whole') return { type: 'adopt', id, placement };
      if (where !== 'gone') return undefined;
      return isOnDemand ? { type: 'close', id } : { type: 'fetch', id };
    }
    case 'overdue': {
      if (placement === undefined) return { type: 'fetch', id };
      if (whereabouts(id, placement, cards) === 'whole') return { type: 'adopt', id, placement };
      return isOnDemand ? { type: 'close', id } : { type: 'fetch', id };
    }
    case 'asked':
      return mustWait ? undefined : { type: 'fetch', id };
    case 'not-fetched':
      return afterFailure(deployment, progress.error);
    case 'waiting':
      return progress.isDue || progress.machines !== machinesOf(cards) ? { type: 'retry', id } : undefined;
    case 'placed': {
      const { state, error } = progress.status;
      const mustServe = state === 'ready' && deployment.isStandby !== true && isShownAsStandby(progress.status, cards);
      if (mustServe) return { type: 'serve', id };
      if (state !== 'failed' || deployment.replacedBy !== undefined) return undefined;
      return outlives(deployment, error && fromWireError(error)) ? { type: 'replace', id } : undefined;
    }
    case 'fetching':
      return undefined;
  }
}

/** Returns the step after a failure to place a deployment. */
function afterFailure(deployment: DesiredDeployment, error: unknown): Action {
  return { type: outlives(deployment, error) ? 'wait' : 'refuse', id: deployment.id, error };
}

function outlives({ patience }: DesiredDeployment, error: unknown): boolean {
  return patience === 'all' || (patience === 'passing' && mayPass(error));
}

/** Tells whether a deployment is lost and has nothing to come: it is replaced already, or nobody waits for that. */
function isOver(deployment: DesiredDeployment, observed: Observed): boolean {
  const progress = progressOf(observed, deployment.id);
  if (progress.step !== 'placed' || progress.status.state !== 'failed') return false;
  const { error } = progress.status;
  return deployment.replacedBy !== undefined || !outlives(deployment, error && fromWireError(error));
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
 * Chooses a deployment for requests to a model: the first that serves, standbys last, else the last that is about to and is
 * no standby. Where there is neither, a new one, with the spec of the one that was lost last if there is one. One that waits to be placed counts as
 * about to serve: a request does not get around the way in which it was asked for.
 */
export function deploymentFor(
  { model, options = {}, failed = [] }: DemandFor,
  desired: readonly DesiredDeployment[],
  observed: Observed,
): Demand {
  const candidates = desired.filter(
    (one) =>
      one.spec.model === model &&
      one.goal === 'serve' &&
      one.replacedBy === undefined &&
      isAsAsked(one, options, progressOf(observed, one.id)),
  );
  const serving = standbysLast(candidates).find(
    (one) => stateOf(one, observed) === 'ready' && !failed.includes(one.id),
  );
  const replicas = candidates.filter(({ isStandby }) => isStandby !== true);
  const coming = replicas.findLast((one) => ['loading', 'connecting'].includes(stateOf(one, observed) ?? 'loading'));
  const chosen = serving ?? coming;
  if (chosen !== undefined) return { type: 'use', id: chosen.id };
  return { type: 'add', spec: replicas.findLast((one) => stateOf(one, observed) === 'failed')?.spec };
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

/** Returns the stages of deployments of ours that are over, as far as cards show them. */
function remnantsOf(
  statuses: readonly DeploymentStatus[],
  { cards, ended }: Observed,
): readonly (HeldStage & { readonly peer: string })[] {
  const failed = new Set(statuses.filter(({ state }) => state === 'failed').map(({ id }) => id));
  return cards.flatMap(({ peer, stages }) =>
    stages
      .filter(({ deployment }) => ended.has(deployment) || failed.has(deployment))
      .map((stage) => ({ ...stage, peer })),
  );
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
