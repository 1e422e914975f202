import { z } from 'zod';

import type { Immutable } from '../admin/route.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { formatDuration } from '../format-time.ts';

/** Most replicas that a model is scaled to. */
export const maxReplicas = 64;
/** Time without demand after which a replica is taken down that nothing else asks for, in milliseconds. */
export const defaultIdleMs = 30 * 60_000;
/** Bounds of that time: shorter ones would load and unload all the time. */
export const idleBoundsMs = { least: 10_000, most: 365 * 86_400_000 } as const;

/** The number of replicas that a model has: at least and at most so many, by demand. */
export const replicaRangeSchema = z.strictObject({
  min: z.number().int().min(0).max(maxReplicas),
  max: z.number().int().min(1).max(maxReplicas),
});
export type ReplicaRange = z.infer<typeof replicaRangeSchema>;

/** The terms by which a model's replicas come and go, as people and programs ask for them. */
export const scalingRequestShape = {
  /** Default: as many as were deployed one by one; with `idleMs` from 0 to 1. */
  replicas: replicaRangeSchema.optional(),
  /** Time without demand after which a replica beyond `replicas.min` is taken down. Default: {@link defaultIdleMs}. */
  idleMs: z.number().int().min(idleBoundsMs.least).max(idleBoundsMs.most).optional(),
  /** Whether its replicas are never taken down to make room for another model. Default: no. */
  pinned: z.boolean().optional(),
};
const scalingRequestSchema = z.object(scalingRequestShape);
export type ScalingRequest = Immutable<z.infer<typeof scalingRequestSchema>>;

/** The terms of one model in force. */
export const scalingSchema = z.object({
  /** Left out where replicas are deployed and taken down by hand. */
  replicas: replicaRangeSchema.optional(),
  /** Left out where no replica is ever taken down for want of demand. */
  idleMs: scalingRequestShape.idleMs,
  pinned: z.boolean(),
});
export type Scaling = z.infer<typeof scalingSchema>;

/**
 * Makes the terms of a request; undefined where it asks for none, and those of before go on.
 *
 * @throws SkeinError `invalid-request` for terms that contradict each other
 */
export function scalingOf({ replicas, idleMs, pinned }: ScalingRequest): Scaling | undefined {
  if (replicas === undefined && idleMs === undefined && pinned === undefined) return undefined;
  const range = replicas ?? (idleMs === undefined ? undefined : { min: 0, max: 1 });
  if (range !== undefined && range.min > range.max) {
    throw wrong('replicas', `replicas from ${range.min} to ${range.max} are none; give the smaller number first`);
  }
  const isFixed = range === undefined || range.min === range.max;
  if (isFixed && idleMs !== undefined) {
    throw wrong(
      'idleMs',
      'idle replicas are taken down where there may be fewer; allow that with replicas like 0..1 (--replicas)',
    );
  }
  return {
    ...(range !== undefined && { replicas: range }),
    ...(!isFixed && { idleMs: idleMs ?? defaultIdleMs }),
    pinned: pinned ?? false,
  };
}

/** Describes terms for people: `1 to 3 replicas by demand, fewer after 30 minutes without, pinned`. */
export function describeScaling({ replicas, idleMs, pinned }: Scaling): string {
  const count = replicas && (replicas.min === replicas.max ? `${replicas.min}` : `${replicas.min} to ${replicas.max}`);
  const many = count === '1' || count === '0 to 1' ? 'replica' : 'replicas';
  const parts = [
    ...(count === undefined ? [] : [`${count} ${many}${idleMs === undefined ? '' : ' by demand'}`]),
    ...(idleMs === undefined ? [] : [`fewer after ${formatDuration(idleMs)} without`]),
    ...(pinned ? ['pinned'] : []),
  ];
  return parts.join(', ');
}

function wrong(param: keyof ScalingRequest, message: string): SkeinError {
  return new SkeinError('invalid-request', message, { details: { param } });
}
