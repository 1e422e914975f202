import {
  claimedLease,
  maxDesiredCopyBytes,
  maxEpoch,
  maxEpochStep,
  methods,
  type Lease,
  type Method,
} from '@skein/protocol';

import { expectRefusal, type Attack, type Target } from '../attack.ts';
import { ask, startHostileMember, type Attacker } from '../attacker.ts';
import { cardOf, sendCard, until, withoutRole } from './members.ts';

const deployment = 'deployment-of-mallory';
const model = 'ab'.repeat(32);
const ensure = { type: 'place-ensure', model, failed: [] };
const attach = { type: 'stage-attach', deployment, stage: 0 };
const reserve = { type: 'stage-reserve', deployment, stage: 0, bytes: 1 };
const drain = { type: 'drain-request', draining: true };

/** Makes an attack by a coordinator whose order must be refused by the machine that serves. */
function order(
  name: string,
  lease: (target: Target, self: string) => Lease | undefined,
  ...codes: readonly string[]
): Attack {
  return {
    name: `orders of a coordinator ${name}`,
    run: async (target) => {
      await expectHolder(target);
      await using hostile = await startHostileMember(servingOf(target), ['coordinator']);
      const shown = lease(target, hostile.identity.peerId);
      const orders: readonly (readonly [Method, object])[] = [
        [methods.stage, attach],
        [methods.stage, reserve],
        [methods.drain, drain],
      ];
      for (const [method, request] of orders) {
        const withLease = shown === undefined ? request : { ...request, lease: shown };
        await expectRefusal(ask(hostile, method, withLease), ...codes);
      }
      await expectHolder(target);
    },
  };
}

/** Makes the machine that serves the one that attackers connect to. */
function servingOf(target: Target): Target {
  return { ...target, addresses: target.servingAddresses };
}

/** Checks that the coordinator under attack places, and that the machine that serves obeys it alone. */
async function expectHolder(target: Target): Promise<void> {
  const { peerId, victim } = target;
  const cardOfMember = (id: string) => target.members().find(({ peer }) => peer === id);
  await until(() => cardOfMember(victim)?.fence?.holder === peerId);
  const coordinator = cardOfMember(peerId);
  if (coordinator === undefined || claimedLease(coordinator) === undefined)
    throw new Error('it does not place any more');
}

function epochOf(target: Target): number {
  return target.members().find(({ peer }) => peer === target.peerId)?.lease?.epoch ?? 0;
}

/** Asks on many streams at once. Returns the codes of those that were refused. */
async function askOften(hostile: Attacker, count: number, method: Method, request: object): Promise<readonly string[]> {
  const answers = await Promise.allSettled(
    Array.from({ length: count }, async () => await ask(hostile, method, request)),
  );
  return answers.flatMap((answer) => {
    if (answer.status === 'fulfilled') return [];
    const { reason } = answer as { readonly reason: unknown };
    return [reason instanceof Error && 'code' in reason ? String(reason.code) : String(reason)];
  });
}

/** Attempts to place, or to say what is desired, of members that may not, or not now. */
export const placing: readonly Attack[] = [
  withoutRole('peer', 'has models placed', methods.place, ensure),
  withoutRole('client', 'has models placed', methods.place, ensure),
  withoutRole('peer', 'reads which deployments are desired', methods.desired, { type: 'desired-ask' }),
  withoutRole('client', 'drains a machine', methods.drain, drain),
  withoutRole('peer', 'drains a machine', methods.drain, drain),
  order('that knows of no lease', () => undefined, 'stale-lease'),
  order("with another one's lease", (target) => ({ epoch: epochOf(target), holder: target.peerId }), 'not-permitted'),
  order('in an epoch that another one holds', (target, holder) => ({ epoch: epochOf(target), holder }), 'stale-lease'),
  order('in the last epoch that there is', (_, holder) => ({ epoch: maxEpoch, holder }), 'not-permitted'),
  order(
    'in an epoch that nobody can have reached',
    (target, holder) => ({ epoch: epochOf(target) + maxEpochStep + 1, holder }),
    'not-permitted',
  ),
  order('in an epoch that is none', (_, holder) => ({ epoch: 2 ** 53, holder }), 'protocol-violation'),
  {
    name: 'a coordinator whose card claims the last epoch, so that nobody can follow it',
    logged: /a coordinator claims an epoch that no take-over can have reached/,
    run: async (target) => {
      await using hostile = await startHostileMember(servingOf(target), ['coordinator']);
      const holder = hostile.identity.peerId;
      const lease = { epoch: maxEpoch, holder, isHolderSeen: true };
      await sendCard(hostile, cardOf(holder, { roles: ['coordinator'], lease, fence: lease }));
      await expectHolder(target);
    },
  },
  {
    name: 'a coordinator that says what is desired while another one places',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['coordinator']);
      const change = { epoch: maxEpoch, revision: Number.MAX_SAFE_INTEGER };
      for (const payload of [
        Buffer.from('{"version":1,"deployments":[]}'),
        Buffer.alloc(100_000, '['),
        Buffer.alloc(maxDesiredCopyBytes, ' '),
      ]) {
        const stream = await hostile.open(methods.desired);
        const attempt = stream
          .write({ type: 'desired-copy', change }, payload)
          .then(async () => (await stream.read({ timeoutMs: 5000 }))?.header ?? 'the stream ended');
        await expectRefusal(attempt, 'stale-lease', 'frame-too-large', 'peer-lost');
      }
    },
  },
  {
    name: 'a coordinator that reads the desired deployments on two hundred streams at once',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['coordinator']);
      const refused = await askOften(hostile, 200, methods.desired, { type: 'desired-ask' });
      if (refused.length === 0) throw new Error('all were answered at once');
    },
  },
  {
    name: 'a coordinator that asks for a thousand placements at once',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['coordinator']);
      const refused = await askOften(hostile, 1000, methods.place, ensure);
      if (refused.length < 1000) throw new Error(`${1000 - refused.length} were placed`);
    },
  },
  {
    name: 'a coordinator that asks for plans of absurd sizes',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['coordinator']);
      const machine = { name: 'x', memoryBytes: 1 };
      for (const request of [
        { model, add: Array.from({ length: 100_000 }, () => machine) },
        { model, add: [{ ...machine, memoryBytes: 2 ** 64 }] },
        { model, add: [{ ...machine, gpus: Array.from({ length: 10_000 }, () => machine) }] },
        { model, contextTokens: 2 ** 53 },
        { model, replicas: 1e9, layers: Array.from({ length: 50_000 }, () => 1) },
        { model: 'x'.repeat(60_000) },
      ]) {
        const attempt = ask(hostile, methods.place, { type: 'place-plan', request });
        await expectRefusal(attempt, 'protocol-violation', 'frame-too-large', 'peer-lost', 'model-not-found');
      }
    },
  },
];
