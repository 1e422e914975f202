import { formatDuration, maxReplicas, SkeinError, type DeploymentStatus } from '@skein/protocol';

import { statusOfWaiting } from './desired-state.ts';
import type { ModelScaling } from './scaling.ts';

/** Returns terms with one replica more at the least, for good; `count` are there with that one. */
export function withOneMore(terms: ModelScaling, count: number): ModelScaling {
  if (terms.replicas === undefined) return terms;
  const min = Math.min(terms.replicas.min + 1, maxReplicas);
  return { ...terms, replicas: { min, max: Math.max(terms.replicas.max, min, Math.min(count, maxReplicas)) } };
}

/** Returns terms with one replica at the least where they ask for more. */
export function atMostOne(terms: ModelScaling): ModelScaling {
  const { min = 0, max = 1 } = terms.replicas ?? {};
  return { ...terms, replicas: { min: Math.min(min, 1), max } };
}

/** Returns terms by which no more replicas come than are left; undefined with the last one. */
export function withReplicasLeft(terms: ModelScaling, left: number): ModelScaling | undefined {
  if (left === 0 || terms.replicas === undefined) return left === 0 ? undefined : terms;
  const { min, max } = terms.replicas;
  return { ...terms, replicas: { min: Math.min(min, left), max: Math.min(max, left) } };
}

/** Returns terms with a number of standbys. */
export function withStandbys(terms: ModelScaling, count: number): ModelScaling {
  const { standby: _, ...others } = terms;
  return { ...others, ...(count > 0 && { standby: count }) };
}

/** Adds the terms of its model to a status. */
export function withTerms(
  status: DeploymentStatus,
  terms: ModelScaling | undefined,
  { isStandby }: { readonly isStandby: boolean },
): DeploymentStatus {
  const { replicas, idleMs, pinned, standby } = terms ?? {};
  return {
    ...status,
    ...(replicas !== undefined && { replicas }),
    ...(idleMs !== undefined && { idleMs }),
    ...(pinned !== undefined && { pinned }),
    ...(standby !== undefined && { standby }),
    ...(isStandby && { isStandby }),
  };
}

/**
 * Describes a model that has terms and no replica.
 *
 * @param nowMs milliseconds since 1970
 */
export function statusOfUnloaded(terms: ModelScaling, nowMs: number): DeploymentStatus {
  const { idleMs } = terms;
  const since = idleMs === undefined ? '' : ` (nobody asked for it for ${formatDuration(idleMs)}, or it made room)`;
  const reason = new SkeinError('not-deployed', `it is not loaded${since}; the next request loads it`);
  return statusOfWaiting(terms, reason, nowMs);
}
