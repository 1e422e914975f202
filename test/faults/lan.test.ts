import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemberProcess } from '../../scripts/detection/member-process.ts';
import { newMeshKey, type MeshKey } from '../../scripts/detection/membership.ts';
import { createLan, type Lan } from '../../scripts/lan/lan.ts';
import { missingForLan } from '../../scripts/lan/missing.ts';

/** Far more than it takes: the test is that things are noticed. `npm run detection` measures how soon. */
const patienceMs = 60_000;
const missing = await missingForLan();

/** A member in a host of its own, which finds others by mDNS; or on an address that is named, without. */
async function startMember(lan: Lan, host: number, meshKey: MeshKey, peers: readonly string[] = []) {
  const signal = AbortSignal.timeout(patienceMs);
  const settings = { meshKey, listen: ['/ip4/0.0.0.0/tcp/7330'], mdns: true, peers };
  const member = await MemberProcess.create(settings, { signal, run: (...command) => lan.host(host).run(...command) });
  const addresses = await member.start(signal);
  return Object.assign(member, { addresses });
}

async function startMembers(lan: Lan, count: number): Promise<MemberProcess[]> {
  const meshKey = await newMeshKey();
  const hosts = Array.from({ length: count }, (_, host) => host);
  const members = await Promise.all(hosts.map(async (host) => await startMember(lan, host, meshKey)));
  for (const member of members) await untilSees(member, members);
  return members;
}

/** From message number `from` on, the cards of all others have come. */
async function untilSees(member: MemberProcess, members: readonly MemberProcess[], from = 0): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  for (const { peerId } of members) {
    if (peerId !== member.peerId) await member.until('came', { signal, peer: peerId, from });
  }
}

/** Whether of each of these members the last thing that was heard is that its card came. */
function seesAll({ messages }: MemberProcess, members: readonly MemberProcess[]): boolean {
  return members.every(({ peerId }) => {
    const last = messages.findLast((said) => (said.type === 'came' || said.type === 'gone') && said.peer === peerId);
    return last?.type === 'came';
  });
}

/**
 * Makes something happen to the last member, waits until the others have lost it, undoes that, and waits until all see each
 * other again. Resolves with whom the others have lost besides it.
 */
async function loseAndFind(
  members: readonly MemberProcess[],
  happen: () => unknown,
  undo: () => unknown,
): Promise<string[]> {
  const signal = AbortSignal.timeout(patienceMs);
  const victim = members.at(-1);
  if (victim === undefined) throw new Error('nobody is there');
  const others = members.slice(0, -1);
  const before = members.map(({ messages }) => messages.length);
  await happen();
  for (const [index, other] of others.entries()) {
    await other.until('gone', { signal, peer: victim.peerId, from: before[index] ?? 0 });
  }
  const gone = members.map(({ messages }) => messages.length);
  await undo();
  for (const [index, other] of others.entries()) {
    await other.until('came', { signal, peer: victim.peerId, from: gone[index] ?? 0 });
  }
  // One that slept may have been reached again before it missed anybody.
  await vi.waitUntil(() => seesAll(victim, others), { timeout: patienceMs });
  return others.flatMap(({ lost }) => lost.filter((peer) => peer !== victim.peerId));
}

describe('on a network of its own', () => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });

  // In this order: the last one leaves the network otherwise than it was.
  describe('a member of three', { timeout: 2 * patienceMs }, () => {
    let stack: AsyncDisposableStack;
    let lan: Lan;
    let members: readonly MemberProcess[];

    beforeAll(async () => {
      stack = new AsyncDisposableStack();
      if (missing !== undefined) return;
      lan = stack.use(await createLan({ hosts: 3 }));
      members = await startMembers(lan, 3);
    }, 2 * patienceMs);

    afterAll(async () => await stack.disposeAsync());

    test('is back when its cable is plugged in again', async () => {
      const lost = await loseAndFind(
        members,
        async () => await lan.host(2).unplug(),
        async () => await lan.host(2).plug(),
      );
      expect(lost).toEqual([]);
    });

    test('is back when its machine wakes up', async () => {
      const lost = await loseAndFind(
        members,
        () => members[2]?.signal('SIGSTOP'),
        () => members[2]?.signal('SIGCONT'),
      );
      expect(lost).toEqual([]);
    });

    test('is found at the new address when its own changes', async () => {
      const ip = async (...words: string[]) => await lan.host(2).output('ip', words);
      const lost = await loseAndFind(
        members,
        async () => await ip('address', 'flush', 'dev', 'eth0'),
        async () => await ip('address', 'add', '10.77.0.99/24', 'dev', 'eth0'),
      );
      expect(lost).toEqual([]);
    });
  });

  test.each([
    ['knows where another one is', true],
    ['is to find others by multicast', false],
  ])(
    'a member whose network comes after it, and that %s, tells everyone',
    { timeout: 2 * patienceMs },
    async (_, knows) => {
      await using lan = await createLan({ hosts: 3 });
      const signal = AbortSignal.timeout(patienceMs);
      const ip = async (...words: string[]) => await lan.host(2).output('ip', words);
      await ip('address', 'flush', 'dev', 'eth0');
      const meshKey = await newMeshKey();
      const [first, second] = [await startMember(lan, 0, meshKey), await startMember(lan, 1, meshKey)];
      const late = await startMember(lan, 2, meshKey, knows ? first.addresses : []);
      expect(late.addresses).toEqual([expect.stringContaining('/ip4/127.0.0.1/') as string]);
      const told = async (addresses: readonly string[], from: number): Promise<void> => {
        const card = addresses.map((address) => `/ip4/${address}/tcp/7330/p2p/${late.peerId}`);
        for (const other of [first, second]) await other.untilAddresses(late.peerId, card, { signal, from });
      };
      await ip('address', 'add', '10.77.0.90/24', 'dev', 'eth0');
      await untilSees(late, [first, second]);
      await told(['10.77.0.90'], 0);
      const before = Math.min(first.messages.length, second.messages.length);
      await ip('address', 'add', '10.77.0.91/24', 'dev', 'eth0');
      await told(['10.77.0.90', '10.77.0.91'], before);
      expect([...first.lost, ...second.lost]).toEqual([]);
    },
  );

  test(
    'two meshes do not see each other, not even where one is told where the other is',
    { timeout: 2 * patienceMs },
    async () => {
      await using lan = await createLan({ hosts: 5 });
      const [one, other] = await Promise.all([newMeshKey(), newMeshKey()]);
      const left = await Promise.all([0, 1].map(async (host) => await startMember(lan, host, one)));
      const right = await Promise.all(
        [2, 3].map(async (host) => await startMember(lan, host, other, left[0]?.addresses)),
      );
      for (const member of left) await untilSees(member, left);
      for (const member of right) await untilSees(member, right);
      // The last member has heard the answers of all, and is heard by all.
      const last = await startMember(lan, 4, one, right[0]?.addresses);
      await untilSees(last, left);
      for (const member of left) await untilSees(member, [last]);
      const seen = (members: readonly MemberProcess[]) =>
        members.map(({ messages }) => new Set(messages.flatMap((said) => (said.type === 'came' ? [said.peer] : []))));
      const ofRight = new Set(right.map(({ peerId }) => peerId));
      const ofLeft = new Set([...left, last].map(({ peerId }) => peerId));
      for (const peers of seen([...left, last])) expect(peers.isDisjointFrom(ofRight)).toBe(true);
      for (const peers of seen(right)) expect(peers.isDisjointFrom(ofLeft)).toBe(true);
    },
  );
});
