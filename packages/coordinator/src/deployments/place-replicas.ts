import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  isSkeinError,
  plannedSpec,
  type DeploymentSpec,
  type Planned,
  type PlansTogether,
  type SkeinError,
} from '@skein/protocol';

import type { PlacedStage, PlanSnapshot } from '../planner/index.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { placeDeployment, stagesToLoad, type Placement } from './placement.ts';

export interface ReplicasToPlace {
  /** Number of replicas. */
  readonly count: number;
  /** Most tokens of a context that the spec leaves out, as {@link placeDeployment} takes it. */
  readonly contextTokens?: number | undefined;
}

/**
 * Plans several replicas of one deployment, each beside those before it: the memory that these take is gone, and their
 * machines count as slower, so replicas are spread by room and speed. It is what deploying them one after the other
 * comes to. A plan takes up to a tenth of a second in a large mesh; the caller decides what else gets a turn meanwhile.
 *
 * @throws SkeinError as {@link placeDeployment} does for the first replica that has no place
 */
export function* placeReplicas(
  deployment: Pick<DesiredDeployment, 'avoid' | 'spec' | 'isReplacement'>,
  mesh: PlanSnapshot,
  { count, contextTokens }: ReplicasToPlace,
): Generator<Placement, void> {
  let placed: readonly PlacedStage[] = mesh.placed ?? [];
  for (let number = 1; number <= count; number++) {
    const placement = placeDeployment(deployment, { ...mesh, placed }, contextTokens);
    placed = [...placed, ...stagesToLoad({ id: `planned/${number}`, spec: deployment.spec }, placement)];
    yield placement;
  }
}

/** The replicas that have a place on a mesh, and the reason why no further one has where more were asked for. */
export interface PlacedReplicas {
  readonly snapshot: PlanSnapshot;
  readonly count: number;
  readonly placements: readonly Placement[];
  readonly problem?: SkeinError;
  readonly smallerContext?: Planned['smallerContext'];
}

export interface ReplicasOfSpec extends ReplicasToPlace {
  readonly spec: DeploymentSpec;
}

/**
 * Plans replicas until one has no place, and looks then whether more have one with the least context.
 *
 * @throws the reason of the signal
 */
export async function placeAllThatFit(
  snapshot: PlanSnapshot,
  wanted: ReplicasOfSpec,
  signal: AbortSignal,
): Promise<PlacedReplicas> {
  const { spec, count, contextTokens } = wanted;
  const found = await placeUntilFull(snapshot, wanted, signal);
  const outcome = { snapshot, count, ...found };
  const { placements } = found;
  if (placements.length === count || placements.length === 0 || spec.contextTokens !== undefined) return outcome;
  const least = plannedSpec(spec, snapshot.manifest.shape, contextTokens).contextTokens;
  if (placements.every((placement) => placement.spec.contextTokens <= least)) return outcome;
  const tight = await placeUntilFull(snapshot, { ...wanted, spec: { ...spec, contextTokens: least } }, signal);
  const replicas = tight.placements.length;
  return replicas > placements.length ? { ...outcome, smallerContext: { contextTokens: least, replicas } } : outcome;
}

async function placeUntilFull(
  snapshot: PlanSnapshot,
  { spec, ...wanted }: ReplicasOfSpec,
  signal: AbortSignal,
): Promise<Pick<PlacedReplicas, 'placements' | 'problem'>> {
  const placements: Placement[] = [];
  try {
    for (const placement of placeReplicas({ spec, isReplacement: false }, snapshot, wanted)) {
      placements.push(placement);
      // Heartbeats and requests get their turn between two plans.
      await nextTurn(undefined, { signal });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isSkeinError(error)) throw error;
    return { placements, problem: error };
  }
  return { placements };
}

/**
 * Adds up replicas that are planned beside each other. A machine that several stages lie on gives each of them its share
 * of the time, so a replica is slowed by as many as there are where it has most neighbours.
 *
 * @param asked number of replicas that were asked for
 * @returns undefined where none has a place
 */
export function together(placements: readonly Placement[], asked: number): PlansTogether | undefined {
  if (placements.length === 0) return undefined;
  const stages = placements.flatMap(({ plan }) => plan.stages);
  const stagesOn = Map.groupBy(stages, ({ peer }) => peer);
  const shared = placements.map(({ plan: { stages: own, prediction } }) => {
    const slowdown = Math.max(...own.map(({ peer }) => stagesOn.get(peer)?.length ?? 1));
    const { sequences, saturatedTokensPerSecond, prefillTokensPerSecond } = prediction;
    return { sequences, decode: saturatedTokensPerSecond / slowdown, prefill: prefillTokensPerSecond / slowdown };
  });
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  return {
    replicas: placements.length,
    asked,
    machines: stagesOn.size,
    bytes: sum(stages.map(({ bytes }) => bytes)),
    sequences: sum(shared.map(({ sequences }) => sequences)),
    saturatedTokensPerSecond: sum(shared.map(({ decode }) => decode)),
    prefillTokensPerSecond: sum(shared.map(({ prefill }) => prefill)),
  };
}
