import { describe, expect, test } from 'vitest';

import {
  claimedLease,
  compareLeases,
  greaterLease,
  leaseSchema,
  maxEpoch,
  maxEpochStep,
  mostBelievableEpoch,
  type Lease,
} from './lease.ts';

const [low, high] = ['12D3KooWAAAAAAAAAAAA', '12D3KooWBBBBBBBBBBBB'] as const;

test('holds epochs from 1 to the greatest whole number that a take-over can reach', () => {
  for (const epoch of [1, maxEpoch]) expect(leaseSchema.safeParse({ epoch, holder: low }).success).toBe(true);
  for (const epoch of [0, -1, 1.5, maxEpoch + 1, Number.NaN])
    expect(leaseSchema.safeParse({ epoch, holder: low }).success).toBe(false);
});

describe('of two leases', () => {
  test('the greater epoch counts, whoever holds it', () => {
    expect(compareLeases({ epoch: 2, holder: high }, { epoch: 1, holder: low })).toBeGreaterThan(0);
  });

  test('with one epoch, the lower id counts', () => {
    expect(compareLeases({ epoch: 2, holder: low }, { epoch: 2, holder: high })).toBeGreaterThan(0);
    expect(compareLeases({ epoch: 2, holder: high }, { epoch: 2, holder: low })).toBeLessThan(0);
    expect(compareLeases({ epoch: 2, holder: low }, { epoch: 2, holder: low })).toBe(0);
  });

  test('a missing one counts less than any', () => {
    const lease = { epoch: 1, holder: low };
    expect(greaterLease(undefined, lease)).toBe(lease);
    expect(greaterLease(lease, undefined)).toBe(lease);
    expect(greaterLease<Lease>(undefined, undefined)).toBeUndefined();
    expect(greaterLease<Lease>(lease, { epoch: 2, holder: high })).toEqual({ epoch: 2, holder: high });
  });
});

describe('a card claims a lease', () => {
  const lease = { epoch: 3, holder: low, isHolderSeen: true };

  test('for its own member, where that may place', () => {
    expect(claimedLease({ peer: low, roles: ['coordinator'], lease })).toEqual({ epoch: 3, holder: low });
  });

  test('neither for another member nor without the role', () => {
    expect(claimedLease({ peer: high, roles: ['coordinator'], lease })).toBeUndefined();
    expect(claimedLease({ peer: low, roles: ['peer'], lease })).toBeUndefined();
    expect(claimedLease({ peer: low, roles: ['coordinator'] })).toBeUndefined();
  });
});

describe('an epoch is believed', () => {
  const told = (...epochs: readonly number[]) =>
    epochs.map((epoch) => ({ peer: low, fence: { epoch, holder: high, isHolderSeen: true } }));

  test('up to a step above the known one, whatever others tell', () => {
    expect(mostBelievableEpoch({ epoch: 7, holder: low }, told(maxEpoch, maxEpoch))).toBe(7 + maxEpochStep);
  });

  test('by one that knows of none, where two tell of such epochs', () => {
    expect(mostBelievableEpoch(undefined, [])).toBe(maxEpochStep);
    expect(mostBelievableEpoch(undefined, told(maxEpoch))).toBe(maxEpochStep);
    expect(mostBelievableEpoch(undefined, told(maxEpoch, 5 * maxEpochStep, 3))).toBe(6 * maxEpochStep);
  });
});
