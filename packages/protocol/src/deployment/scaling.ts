import { z } from 'zod';

import type { Immutable } from '../admin/route.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { formatDuration } from '../format-time.ts';

/** Most replicas that a model is scaled to. */
export const maxReplicas = 64;
/** Most standbys of a model. */
export const maxStandbys = 4;
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
  /**
   * Number of replicas beyond those that serve which are loaded where memory is spare, on machines of their own, and take
   * requests once others can't. They make room for whoever needs it, pinned or not. Default: none.
   */
  standby: z.number().int().min(0).max(maxStandbys).optional(),
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
  /** Left out where there are to be none, and by versions of before. */
  standby: scalingRequestShape.standby,
});
export type Scaling = z.infer<typeof scalingSchema>;

/**
 * Makes the terms of a request; undefined where it asks for none, and those of before go on.
 *
 * @throws SkeinError `invalid-request` for terms that contradict each other
 */
export function scalingOf(request: ScalingRequest): Scaling | undefined {
  if (Object.values(request).every((term) => term === undefined)) return undefined;
  const { replicas, idleMs, pinned, standby = 0 } = request;
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
    ...(standby > 0 && { standby }),
  };
}

/** Describes terms for people: `1 to 3 replicas by demand, fewer after 30 minutes without, pinned, 1 standby`. */
export function describeScaling({ replicas, idleMs, pinned, standby = 0 }: Scaling): string {
  const count = replicas && (replicas.min === replicas.max ? `${replicas.min}` : `${replicas.min} to ${replicas.max}`);
  const many = count === '1' || count === '0 to 1' ? 'replica' : 'replicas';
  const parts = [
    ...(count === undefined ? [] : [`${count} ${many}${idleMs === undefined ? '' : ' by demand'}`]),
    ...(idleMs === undefined ? [] : [`fewer after ${formatDuration(idleMs)} without`]),
    ...(pinned ? ['pinned'] : []),
    ...(standby > 0 ? [`${standby} ${standby === 1 ? 'standby' : 'standbys'}`] : []),
  ];
  return parts.join(', ');
}

function wrong(param: keyof ScalingRequest, message: string): SkeinError {
  return new SkeinError('invalid-request', message, { details: { param } });
}
