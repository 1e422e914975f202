import { beforeEach, describe, expect, test } from 'vitest';

import type { LanHost } from '../lan/host.ts';
import { createLan } from '../lan/lan.ts';
import { missingForLan } from '../lan/missing.ts';
import { MemberProcess } from './member-process.ts';
import { newMeshKey } from './membership.ts';
import { measureRound } from './round.ts';

const missing = await missingForLan();

describe('members on hosts of their own', () => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });

  test('find each other, and notice who joins, is killed, freezes, loses its cable or is revoked', async () => {
    const { discoverMs, joinMs, killMs, freezeMs, cutMs, revokeMs } = await measureRound({
      members: 4,
      signal: AbortSignal.timeout(100_000),
    });
    const samples = [discoverMs, joinMs, killMs, freezeMs, cutMs, revokeMs];
    expect(samples.map(({ length }) => length)).toEqual([4, 4, 4, 3, 2, 1]);
  }, 120_000);

  test('do not take each other for dead while bulk fills a narrow cable both ways', async () => {
    const signal = AbortSignal.timeout(100_000);
    await using lan = await createLan({ hosts: 2 });
    const settings = { meshKey: await newMeshKey(), listen: ['/ip4/0.0.0.0/tcp/7330'], mdns: true };
    const startMember = async (host: LanHost): Promise<MemberProcess> => {
      await host.setBandwidth(20);
      const member = await MemberProcess.create(settings, { signal, run: (...command) => host.run(...command) });
      await member.start(signal);
      return member;
    };
    const [left, right] = await Promise.all([startMember(lan.host(0)), startMember(lan.host(1))]);
    await left.until('came', { signal, peer: right.peerId });
    await right.until('came', { signal, peer: left.peerId });
    // Takes several times as long as a silence that is taken for death.
    const bytes = 8 * 2 ** 20;
    await Promise.all(
      (['bytes', 'ring'] as const).flatMap((method) => [
        left.send({ peer: right.peerId, bytes, method }, signal),
        right.send({ peer: left.peerId, bytes, method }, signal),
      ]),
    );
    expect([left.lost, right.lost]).toEqual([[], []]);
  }, 120_000);
});
