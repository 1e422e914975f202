import { maxEpoch, maxEpochStep, type Lease } from '@skein/protocol';
import { describe, expect, test } from 'vitest';

import { LeaseFence } from './lease-fence.ts';

const [ada, bob] = ['12D3KooWAdaAdaAdaAda', '12D3KooWBobBobBobBob'] as const;

/** A disk that can be full, and that tells what is on it. */
function disk(saved?: Lease) {
  const state = { saved, isFull: false, writes: 0 };
  const save = async (lease: Lease): Promise<void> => {
    state.writes += 1;
    if (state.isFull) throw new Error('ENOSPC');
    state.saved = lease;
  };
  return { state, save, open: () => new LeaseFence({ save, saved: state.saved }) };
}

describe('a fence', () => {
  test('accepts growing epochs, and refuses lower ones with the one that counts', async () => {
    const { open } = disk();
    const fence = open();
    await fence.admit({ epoch: 1, holder: ada });
    await fence.admit({ epoch: 4, holder: bob });
    await expect(fence.admit({ epoch: 1, holder: ada })).rejects.toMatchObject({
      code: 'stale-lease',
      details: { epoch: 4, holder: bob },
    });
    await fence.admit({ epoch: 5, holder: ada });
    expect(fence.accepted).toEqual({ epoch: 5, holder: ada });
  });

  test.each([
    ['the lower id first', ada, bob],
    ['the greater id first', bob, ada],
  ])('obeys one holder in one epoch: %s', async (_, first, second) => {
    const fence = disk().open();
    await fence.admit({ epoch: 3, holder: first });
    await expect(fence.admit({ epoch: 3, holder: second })).rejects.toMatchObject({ code: 'stale-lease' });
    await fence.admit({ epoch: 3, holder: first });
  });

  test('refuses an epoch that would leave none for a successor, and obeys the next one', async () => {
    const { open, state } = disk();
    const fence = open();
    for (const known of [0, 1]) {
      for (const epoch of [maxEpoch, known + maxEpochStep + 1])
        await expect(fence.admit({ epoch, holder: bob })).rejects.toMatchObject({ code: 'not-permitted' });
      await fence.admit({ epoch: known + 1, holder: ada });
    }
    expect(state.saved).toEqual({ epoch: 2, holder: ada });
  });

  test('that has accepted nothing yet goes by what two others tell', async () => {
    const tell = (peer: string) => ({ peer, fence: { epoch: 3 * maxEpochStep, holder: ada, isHolderSeen: true } });
    const fence = new LeaseFence({ save: async () => undefined, told: () => [tell(ada), tell(bob)] });
    await fence.admit({ epoch: 3 * maxEpochStep + 1, holder: ada });
    expect(fence.accepted?.holder).toBe(ada);
  });

  test('has a lease on the disk before it counts, and goes on from there after a restart', async () => {
    const { state, open } = disk();
    const fence = open();
    const admitted = fence.admit({ epoch: 2, holder: bob });
    expect(fence.accepted).toBeUndefined();
    await admitted;
    expect(state.saved).toEqual({ epoch: 2, holder: bob });
    const restarted = open();
    await expect(restarted.admit({ epoch: 1, holder: ada })).rejects.toMatchObject({ code: 'stale-lease' });
    await restarted.admit({ epoch: 2, holder: bob });
  });

  test('refuses what its disk does not take, and accepts it once it does', async () => {
    const { state, open } = disk();
    const fence = open();
    await fence.admit({ epoch: 1, holder: ada });
    state.isFull = true;
    await expect(fence.admit({ epoch: 2, holder: bob })).rejects.toMatchObject({ code: 'disk-failed' });
    expect(fence.accepted).toEqual({ epoch: 1, holder: ada });
    await fence.admit({ epoch: 1, holder: ada });
    state.isFull = false;
    await fence.admit({ epoch: 2, holder: bob });
    expect(fence.accepted).toEqual({ epoch: 2, holder: bob });
  });

  test('of two that come at the same time, takes each as if it came alone', async () => {
    const fence = disk().open();
    const outcomes = await Promise.allSettled([
      fence.admit({ epoch: 2, holder: bob }),
      fence.admit({ epoch: 2, holder: ada }),
      fence.admit({ epoch: 1, holder: ada }),
      fence.admit({ epoch: 3, holder: ada }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(fence.accepted).toEqual({ epoch: 3, holder: ada });
  });

  test('writes one lease once, however many commands come with it', async () => {
    const { state, open } = disk();
    const fence = open();
    await Promise.all(Array.from({ length: 5 }, async () => await fence.admit({ epoch: 1, holder: ada })));
    expect(state.writes).toBe(1);
  });

  test('takes commands without a lease until it has accepted one', async () => {
    const fence = disk().open();
    await fence.admitFrom(ada, undefined);
    await fence.admit({ epoch: 1, holder: ada });
    await expect(fence.admitFrom(ada, undefined)).rejects.toMatchObject({ code: 'stale-lease' });
    await expect(fence.admitFrom(bob, { epoch: 2, holder: ada })).rejects.toMatchObject({ code: 'not-permitted' });
  });
});
