import { describe, expect, test } from 'vitest';

import { Candidate } from '../../packages/coordinator/src/lease/index.ts';
import { LeaseFence } from '../../packages/node/src/peer/lease-fence.ts';
import { compareLeases, type Lease } from '../../packages/protocol/src/index.ts';
import { runSchedule } from './schedule.ts';
import type { WorldOptions } from './world.ts';

/** Schedules to run: SKEIN_LEASE_SCHEDULES asks for thousands. */
const schedules = Number(process.env['SKEIN_LEASE_SCHEDULES'] ?? 200);
const firstSeed = Number(process.env['SKEIN_LEASE_SEED'] ?? 1);

test(`leases keep their promises in ${schedules} schedules of faults`, { timeout: 3_600_000 }, async () => {
  const total: Record<string, number> = {};
  for (let seed = firstSeed; seed < firstSeed + schedules; seed += 1)
    for (const [name, count] of Object.entries(await runSchedule({ seed }))) total[name] = (total[name] ?? 0) + count;
  // Schedules in which nothing happens would prove nothing.
  for (const [name, count] of Object.entries(total)) expect(count, name).toBeGreaterThan(schedules / 4);
});

/** Runs schedules until one shows a violation; returns that. */
async function firstViolation(broken: Omit<WorldOptions, 'seed'>): Promise<string | undefined> {
  for (let seed = 1; seed <= 200; seed += 1) {
    try {
      await runSchedule({ ...broken, seed });
    } catch (error) {
      return String(error);
    }
  }
  return undefined;
}

describe('the schedules show it when', () => {
  test('a fence lets lower epochs through', async () => {
    const createFence: WorldOptions['createFence'] = (components) => {
      const fence = new LeaseFence(components);
      return {
        get accepted() {
          return fence.accepted;
        },
        admit: async (lease) => await fence.admit(lease).catch(() => undefined),
        assertObeyed: () => undefined,
      };
    };
    expect(await firstViolation({ createFence })).toMatch(/has obeyed/);
  });

  test('a peer does not look again before it obeys', async () => {
    const createFence: WorldOptions['createFence'] = (components) => {
      const fence = new LeaseFence(components);
      return {
        get accepted() {
          return fence.accepted;
        },
        admit: async (lease) => await fence.admit(lease),
        assertObeyed: () => undefined,
      };
    };
    expect(await firstViolation({ createFence })).toMatch(/has obeyed/);
  });

  test('a fence forgets what it has accepted', async () => {
    const createFence: WorldOptions['createFence'] = () => new LeaseFence({ save: async () => undefined });
    expect(await firstViolation({ createFence })).toMatch(/has accepted epoch|has obeyed/);
  });

  test('a peer changes its holder within an epoch, for the lower id', async () => {
    const createFence: WorldOptions['createFence'] = ({ saved, save }) => {
      let accepted: Lease | undefined = saved;
      const refuse = (): never => {
        throw new Error('stale');
      };
      return {
        get accepted() {
          return accepted;
        },
        async admit(lease) {
          if (accepted !== undefined && compareLeases(lease, accepted) < 0) refuse();
          await save(lease);
          accepted = lease;
        },
        assertObeyed: (coordinator: string) => void (accepted?.holder !== coordinator && refuse()),
      };
    };
    expect(await firstViolation({ createFence })).toMatch(/has obeyed|has accepted/);
  });

  test('a coordinator holds a lease that its disk did not take', async () => {
    class Careless extends Candidate {
      #lease: Lease | undefined;
      override look(...args: Parameters<Candidate['look']>): Lease | undefined {
        return (this.#lease = super.look(...args) ?? this.#lease);
      }
      override notWritten(): void {
        if (this.#lease !== undefined) this.written(this.#lease);
      }
    }
    expect(await firstViolation({ createCandidate: (options) => new Careless(options) })).toMatch(/disk did not take/);
  });
});
