import { fetchManifest, type Mesh } from '@skein/mesh';
import {
  deploymentSpec,
  isSkeinError,
  machineName,
  SkeinError,
  toWireError,
  type Card,
  type DeploymentStatus,
  type DescribedPlan,
  type PlanAnswer,
  type PlanRequest,
} from '@skein/protocol';

import { addedCards, planWithAlternatives, type Plan, type PlanSnapshot } from '../planner/index.ts';
import type { FreshCards } from './fresh-cards.ts';
import { findHeldModel } from './held-model.ts';
import { placeDeployment, placedStages, type Placement } from './placement.ts';

export interface WhatIfComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly freshCards: Pick<FreshCards, 'get'>;
  /** Returns the deployments that hold memory. */
  readonly deployments: () => readonly DeploymentStatus[];
  /** Most tokens of a context that a request leaves out. */
  readonly contextTokens?: number | undefined;
}

/**
 * Plans a deployment without making it, on the mesh as it is or as a request would change it.
 *
 * @throws SkeinError as the catalog does for the model; `invalid-request` for a machine to remove that is not there; the
 * reason of the signal
 */
export async function planWhatIf(
  { add = [], remove = [], model: reference, ...options }: PlanRequest,
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
  const planOn = (cards: readonly Card[]) => {
    const snapshot: PlanSnapshot = { cards, manifest, placed };
    try {
      return { snapshot, placement: placeDeployment({ spec, isReplacement: false }, snapshot, contextTokens) };
    } catch (error) {
      if (!isSkeinError(error)) throw error;
      return { problem: toWireError(error) };
    }
  };
  const left = present.filter(({ peer }) => !remove.includes(peer));
  const added = addedCards(add, left);
  const changed = [...left, ...added];
  const addedNames = new Map(added.map(({ peer, name: machine }) => [peer, machine]));
  const found = planOn(changed);
  const isChanged = add.length + remove.length > 0;
  const now = isChanged ? planOn(present) : undefined;
  const described = (plan: Plan): DescribedPlan => ({
    stages: plan.stages.map(({ peer, block, bytes, devices }) => ({
      peer,
      on: addedNames.get(peer) ?? machineName(present, peer),
      block,
      bytes,
      devices: [...devices],
    })),
    prediction: plan.prediction,
    explanation: plan.explanation,
  });
  return {
    model,
    name,
    ...planned(found, described),
    ...(found.placement !== undefined && { contextTokens: found.placement.spec.contextTokens }),
    alternatives:
      found.placement === undefined
        ? []
        : planWithAlternatives(found.snapshot, found.placement.spec).alternatives.map(described),
    ...(now !== undefined && { now: planned(now, described) }),
  };
}

function planned(
  { placement, problem }: { readonly placement?: Placement; readonly problem?: ReturnType<typeof toWireError> },
  describe: (plan: Plan) => DescribedPlan,
): Pick<PlanAnswer, 'plan' | 'problem'> {
  return {
    ...(placement !== undefined && { plan: describe(placement.plan) }),
    ...(problem !== undefined && { problem }),
  };
}
