import { z } from 'zod';

import { peerIdSchema } from '../ids.ts';
import type { Role } from '../mesh/role.ts';

/** Greatest epoch: far beyond one take-over in a millisecond for a century, and a whole number everywhere. */
export const maxEpoch = 2 ** 52;

/**
 * Largest step of an epoch that is believed: far more than all take-overs of a mesh, and a small part of the epochs, so
 * that nobody uses them up and leaves none for a successor.
 */
export const maxEpochStep = 2 ** 20;

/**
 * The right to place: to load, unload, reserve and drain stages. One coordinator holds it at a time. A successor
 * takes over with a greater epoch, and peers refuse commands with a lower one.
 */
export const leaseSchema = z.object({
  /** Number of the take-over, from 1. */
  epoch: z.number().int().positive().max(maxEpoch),
  /** Peer id of the coordinator that places. */
  holder: peerIdSchema,
});
export type Lease = z.infer<typeof leaseSchema>;

/** The greatest lease that a member knows of, on its card. */
export const knownLeaseSchema = leaseSchema.extend({
  /** Whether the member is connected to the holder, or is the holder itself. */
  isHolderSeen: z.boolean(),
});
export type KnownLease = z.infer<typeof knownLeaseSchema>;

/**
 * Compares two leases: positive where the first one outranks the second, 0 where they are equal. The greater epoch
 * counts; of two holders with one epoch, as after a network was cut, the lower id.
 */
export function compareLeases(one: Lease, other: Lease): number {
  if (one.epoch !== other.epoch) return one.epoch - other.epoch;
  if (one.holder === other.holder) return 0;
  return one.holder < other.holder ? 1 : -1;
}

/** Returns the one of two leases that outranks the other. */
export function greaterLease<Kind extends Lease>(one: Kind | undefined, other: Kind | undefined): Kind | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return compareLeases(one, other) >= 0 ? one : other;
}

/**
 * Returns the lease that a member says it holds. The card is signed by the member, and its roles are those of the
 * certificate that came with it, so nobody claims a lease for somebody else or without the role.
 */
export function claimedLease(card: {
  readonly peer: string;
  readonly roles: readonly Role[];
  readonly lease?: KnownLease | undefined;
}): Lease | undefined {
  const { peer, roles, lease } = card;
  if (lease?.holder !== peer || !roles.includes('coordinator')) return undefined;
  return { epoch: lease.epoch, holder: peer };
}

/** The epochs that the card of a member tells. */
export interface LeaseTelling {
  readonly peer: string;
  readonly lease?: KnownLease | undefined;
  readonly fence?: KnownLease | undefined;
}

/**
 * Returns the greatest epoch that is believed, whoever claims it: a step above the known one. A member that knows of no
 * lease goes by what others tell, of which it takes the second greatest: one alone may make anything up.
 */
export function mostBelievableEpoch(known: Lease | undefined, cards: readonly LeaseTelling[]): number {
  if (known !== undefined) return known.epoch + maxEpochStep;
  const told = cards.map(({ lease, fence }) => Math.max(lease?.epoch ?? 0, fence?.epoch ?? 0));
  const [, second = 0] = told.toSorted((one, other) => other - one);
  return second + maxEpochStep;
}
