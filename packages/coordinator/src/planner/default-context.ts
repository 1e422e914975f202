import { isSkeinError, type PlannedSpec } from '@skein/protocol';

import { plan, type PlanSnapshot } from './plan.ts';
import type { Plan } from './planned.ts';

/** Share of the memory that a plan leaves on its machines that a larger context may take unasked: others deploy, too. */
const contextShare = 1 / 4;
/** Multiple of which contexts are, in tokens. */
const contextUnit = 256;

/** A plan, and the context that it is made for. */
export interface PlanWithContext {
  readonly plan: Plan;
  readonly contextTokens: number;
}

/**
 * Plans a deployment whose context nobody asked for: with the largest half, quarter and so on of `most` tokens for which
 * its machines have memory to spare, on the same machines as with the context of the spec, which is the least.
 *
 * @throws SkeinError as {@link plan} does for the least context
 */
export function planWithDefaultContext(
  snapshot: PlanSnapshot,
  { spec, most }: { readonly spec: PlannedSpec; readonly most: number },
): PlanWithContext {
  const least = plan(snapshot, spec);
  const sameMachines = { ...snapshot, among: new Set(least.stages.map(({ peer }) => peer)) };
  for (let tokens = most; tokens > spec.contextTokens; tokens = Math.floor(tokens / 2)) {
    const contextTokens = Math.max(spec.contextTokens, tokens - (tokens % contextUnit));
    const larger = planIfItFits(sameMachines, { ...spec, contextTokens });
    if (larger !== undefined && sparesMemory(larger, least)) return { plan: larger, contextTokens };
  }
  return { plan: least, contextTokens: spec.contextTokens };
}

function planIfItFits(snapshot: PlanSnapshot, spec: PlannedSpec): Plan | undefined {
  try {
    return plan(snapshot, spec);
  } catch (error) {
    if (isSkeinError(error)) return undefined;
    throw error;
  }
}

/** Returns whether a plan lies in the same memory as another one, and leaves most of what that left. */
function sparesMemory(larger: Plan, least: Plan): boolean {
  return (
    larger.stages.length === least.stages.length &&
    larger.stages.every(({ peer, bytes, roomBytes }, index) => {
      const small = least.stages[index];
      if (small?.peer !== peer || small.roomBytes !== roomBytes) return false;
      return bytes - small.bytes <= contextShare * (roomBytes - small.bytes);
    })
  );
}
