import { setTimeout as delay } from 'node:timers/promises';

import { createLan } from '../lan/lan.ts';
import { MemberProcess } from './member-process.ts';
import { newMeshKey } from './membership.ts';
import { sharedClockMs } from './messages.ts';

/** Measurements in milliseconds: each from an event until one member notices. */
export interface DetectionSamples {
  /** From the start of all members to the last card, for each member. */
  readonly discoverMs: readonly number[];
  /** From the start of a new member to its card, for each other one. As below. */
  readonly joinMs: readonly number[];
  /** From SIGKILL to the loss of its card. */
  readonly killMs: readonly number[];
  /** From SIGSTOP to the loss of its card. */
  readonly freezeMs: readonly number[];
  /** From the pulling of its cable to the loss of its card. */
  readonly cutMs: readonly number[];
  /** From the command to revoke it to the loss of its card, before which its connections end. */
  readonly revokeMs: readonly number[];
}

export interface RoundOptions {
  /** Number of members that find each other; at least 4. One more joins them later. */
  readonly members: number;
  readonly signal: AbortSignal;
}

/** Pause before an event, so that events hit every phase of heartbeats and cards alike. */
const settleMs = 1000;
const phaseMs = 2000;
/** Time after which an unnoticed event is a failure. */
const roundTimeoutMs = 120_000;

/**
 * Measures one round on hosts of their own: members find each other by mDNS, another one joins them and is killed, one
 * is frozen, the cable of one is pulled, and one is revoked. The programs are loaded before the clock runs.
 *
 * @throws Error when a healthy member was declared dead
 */
export async function measureRound({ members: count, ...options }: RoundOptions): Promise<DetectionSamples> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(roundTimeoutMs)]);
  await using lan = await createLan({ hosts: count + 1 });
  const meshKey = await newMeshKey();
  const settings = { meshKey, listen: ['/ip4/0.0.0.0/tcp/7330'], mdns: true };
  const all = await Promise.all(
    lan.hosts.map(
      async (host, index) =>
        await MemberProcess.create(
          { ...settings, holdsAuthority: index === 0 },
          { signal, run: (...command) => host.run(...command) },
        ),
    ),
  );
  const newcomer = memberAt(all, count);
  const first = all.slice(0, count);

  const startedMs = sharedClockMs();
  await Promise.all(first.map(async (member) => await member.start(signal)));
  const discoverMs = await Promise.all(
    first.map(async (member) => Math.max(...(await cardTimes(member, first, signal))) - startedMs),
  );

  const noticed = async (event: Event): Promise<number[]> => await measureNotice(event, signal);
  const joinMs = await noticed({
    what: 'came',
    member: newcomer,
    observers: first,
    happen: async () => await newcomer.start(signal),
  });
  await cardTimes(newcomer, all, signal);
  const killMs = await noticed({
    what: 'gone',
    member: newcomer,
    observers: first,
    happen: () => newcomer.signal('SIGKILL'),
  });

  const [cut, frozen] = [memberAt(all, count - 2), memberAt(all, count - 1)];
  const unfrozen = first.filter((member) => member !== frozen);
  const freezeMs = await noticed({
    what: 'gone',
    member: frozen,
    observers: unfrozen,
    happen: () => frozen.signal('SIGSTOP'),
  });
  frozen.signal('SIGKILL');

  const connected = unfrozen.filter((member) => member !== cut);
  const cutMs = await noticed({
    what: 'gone',
    member: cut,
    observers: connected,
    happen: async () => await lan.host(all.indexOf(cut)).unplug(),
  });
  assertNoneElseLost(connected, [newcomer, frozen, cut]);

  const [holder, revoked] = [memberAt(all, 0), memberAt(all, 1)];
  const loyal = connected.filter((member) => member !== revoked);
  const revokeMs = await noticed({
    what: 'gone',
    member: revoked,
    observers: loyal,
    happen: () => holder.tell({ do: 'revoke', peer: revoked.peerId }),
  });
  return { discoverMs, joinMs, killMs, freezeMs, cutMs, revokeMs };
}

/** Returns the times at which the cards of all other members came to one. */
async function cardTimes(
  member: MemberProcess,
  members: readonly MemberProcess[],
  signal: AbortSignal,
): Promise<number[]> {
  const others = members.filter((other) => other !== member);
  return await Promise.all(
    others.map(async ({ peerId }) => (await member.until('came', { signal, peer: peerId })).atMs),
  );
}

interface Event {
  readonly what: 'came' | 'gone';
  /** Member that the event happens to. */
  readonly member: MemberProcess;
  readonly observers: readonly MemberProcess[];
  readonly happen: () => unknown;
}

/** Makes an event happen to a member, and returns how long each observer took to notice. */
async function measureNotice({ what, member, observers, happen }: Event, signal: AbortSignal): Promise<number[]> {
  await delay(settleMs + Math.random() * phaseMs, undefined, { signal });
  const heard = observers.map((observer) => ({ observer, from: observer.messages.length }));
  const happenedMs = sharedClockMs();
  await happen();
  return await Promise.all(
    heard.map(async ({ observer, from }) => {
      const { atMs } = await observer.until(what, { signal, peer: member.peerId, from });
      return atMs - happenedMs;
    }),
  );
}

function assertNoneElseLost(observers: readonly MemberProcess[], victims: readonly MemberProcess[]): void {
  const expected = new Set(victims.map(({ peerId }) => peerId));
  const healthy = observers.flatMap(({ lost }) => lost.filter((peer) => !expected.has(peer)));
  if (healthy.length > 0) throw new Error(`members that nothing had happened to were lost ${healthy.length} times`);
}

function memberAt(members: readonly MemberProcess[], index: number): MemberProcess {
  const member = members[index];
  if (member === undefined) throw new RangeError('a round needs more members');
  return member;
}
