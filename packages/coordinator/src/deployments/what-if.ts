import { fetchManifest, type Mesh } from '@skein/mesh';
import {
  deploymentSpec,
  machineName,
  SkeinError,
  toWireError,
  type Card,
  type DeploymentStatus,
  type DescribedPlan,
  type PlanAnswer,
  type Planned,
  type PlanRequest,
} from '@skein/protocol';

import { addedCards, planWithAlternatives, type Plan } from '../planner/index.ts';
import type { FreshCards } from './fresh-cards.ts';
import { findHeldModel } from './held-model.ts';
import { allowedMachines, placedStages } from './placement.ts';
import { placeAllThatFit, together, type PlacedReplicas } from './place-replicas.ts';

export interface WhatIfComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly freshCards: Pick<FreshCards, 'get'>;
  /** Returns the deployments that hold memory. */
  readonly deployments: () => readonly DeploymentStatus[];
  /** Most tokens of a context that a request leaves out. */
  readonly contextTokens?: number | undefined;
}

/**
 * Plans a deployment, or several replicas of it, without making it, on the mesh as it is or as a request would change it.
 *
 * @throws SkeinError as the catalog does for the model; `invalid-request` for a machine to remove that is not there; the
 * reason of the signal
 */
export async function planWhatIf(
  { add = [], remove = [], replicas = 1, model: reference, ...options }: PlanRequest,
  { mesh, freshCards, deployments, contextTokens }: WhatIfComponents,
  signal: AbortSignal,
): Promise<PlanAnswer> {
  const { model, name, manifest: digest, holders } = findHeldModel(mesh, reference);
  const spec = deploymentSpec(options, model);
  const [{ manifest }] = await Promise.all([
    fetchManifest({ mesh, model, digest, holders, signal }),
    freshCards.get(signal),
  ]);
  const present = mesh.cards.snapshot();
  const missing = remove.find((peer) => present.every((card) => card.peer !== peer));
  if (missing !== undefined) {
    throw new SkeinError('invalid-request', `no machine ${missing} is in the mesh; see \`skein status\``, {
      details: { param: 'remove' },
    });
  }
  const placed = placedStages(deployments());
  const planOn = async (cards: readonly Card[]): Promise<PlacedReplicas> =>
    await placeAllThatFit({ cards, manifest, placed }, { spec, count: replicas, contextTokens }, signal);
  const left = present.filter(({ peer }) => !remove.includes(peer));
  const added = addedCards(add, left);
  const found = await planOn([...left, ...added]);
  const isChanged = add.length + remove.length > 0;
  const now = isChanged ? await planOn(present) : undefined;
  const addedNames = new Map(added.map(({ peer, name: machine }) => [peer, machine]));
  const nameOf = (peer: string): string => addedNames.get(peer) ?? machineName(present, peer);
  const [first] = found.placements;
  const alternatives =
    first === undefined ? [] : planWithAlternatives(allowedMachines({ spec }, found.snapshot), first.spec).alternatives;
  return {
    model,
    name,
    ...planned(found, nameOf),
    ...(first !== undefined && { contextTokens: first.spec.contextTokens }),
    alternatives: alternatives.map((plan) => described(plan, nameOf)),
    ...(now !== undefined && { now: planned(now, nameOf) }),
  };
}

function planned(
  { placements, count, problem, smallerContext }: PlacedReplicas,
  nameOf: (peer: string) => string,
): Planned {
  const [first, ...further] = placements.map(({ plan, spec }) => ({
    ...described(plan, nameOf),
    contextTokens: spec.contextTokens,
  }));
  const isOfSeveral = count > 1 && first !== undefined;
  return {
    ...(first !== undefined && { plan: first }),
    ...(isOfSeveral && { further, together: together(placements, count) }),
    ...(problem !== undefined && { problem: toWireError(problem) }),
    ...(smallerContext !== undefined && { smallerContext }),
  };
}

function described({ stages, prediction, explanation }: Plan, nameOf: (peer: string) => string): DescribedPlan {
  return {
    stages: stages.map(({ peer, block, bytes, devices }) => ({
      peer,
      on: nameOf(peer),
      block,
      bytes,
      devices: [...devices],
    })),
    prediction,
    explanation,
  };
}
