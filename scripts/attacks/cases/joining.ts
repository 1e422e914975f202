import { randomBytes } from 'node:crypto';

import { encodeFrame, hasCode, methods } from '@skein/protocol';

import { Authority } from '../../../packages/mesh/src/membership/authority.ts';
import { expectRefusal, type Attack, type Target } from '../attack.ts';
import { ask, startAttacker } from '../attacker.ts';

async function join(target: Target, secret: Uint8Array, change: object = {}): Promise<unknown> {
  await using attacker = await startAttacker(target);
  return await ask(attacker, methods.join, { type: 'join-request', secret, name: 'mallory', ...change });
}

const refusedJoin = /refused a machine that asked to join/;

/** Attempts to get a certificate. */
export const joining: readonly Attack[] = [
  {
    name: 'a guessed invite',
    logged: refusedJoin,
    run: async (target) => await expectRefusal(join(target, randomBytes(16)), 'not-a-member'),
  },
  {
    name: 'an expired invite',
    logged: refusedJoin,
    run: async (target) => {
      const secret = await target.authority.invite({ expiresInMs: 1 });
      const expired = Date.now() + 2;
      while (Date.now() < expired) await new Promise((resolve) => setImmediate(resolve));
      await expectRefusal(join(target, secret), 'not-a-member');
    },
  },
  {
    name: 'an invite that was used',
    logged: refusedJoin,
    run: async (target) => {
      const secret = await target.authority.invite();
      await target.authority.redeem(secret, { peer: target.victim, name: 'victim' });
      await expectRefusal(join(target, secret), 'not-a-member');
    },
  },
  {
    name: 'an invite to another mesh',
    logged: refusedJoin,
    run: async (target) => {
      const secret = await (await Authority.ephemeral()).invite();
      await expectRefusal(join(target, secret), 'not-a-member');
    },
  },
  {
    name: 'one invite, used by two at the same moment',
    run: async (target) => {
      const secret = await target.authority.invite();
      const results = await Promise.allSettled([join(target, secret), join(target, secret)]);
      const granted = results.filter(({ status }) => status === 'fulfilled');
      if (granted.length !== 1) throw new Error(`${granted.length} were let in`);
    },
  },
  {
    name: "somebody else's invite, while its join waits for approval",
    logged: refusedJoin,
    run: async (target) => {
      const secret = await target.authority.invite({ approve: true });
      await target.authority.redeem(secret, { peer: target.victim, name: 'victim' });
      await expectRefusal(join(target, secret), 'not-a-member');
    },
  },
  {
    name: 'half an invite',
    logged: refusedJoin,
    run: async (target) => await expectRefusal(join(target, randomBytes(8)), 'protocol-violation'),
  },
  {
    name: 'a request to join that is no request',
    logged: refusedJoin,
    run: async (target) => {
      const request = { type: 'renew-request' };
      await expectRefusal(join(target, randomBytes(16), request), 'protocol-violation', 'overloaded');
    },
  },
  {
    name: 'a request to join of a megabyte',
    run: async (target) => {
      const request = join(target, randomBytes(16), { name: 'm'.repeat(1_000_000) });
      await expectRefusal(request, 'frame-too-large', 'peer-lost', 'overloaded');
    },
  },
  {
    name: 'garbage where a request to join is due',
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const bytes = await attacker.openBytes(methods.join);
      await bytes.write(Buffer.concat([encodeFrame({}).subarray(0, 3), randomBytes(4096)]));
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'invites tried one after the other',
    logged: /too many attempts to join|overloaded/,
    run: async (target) => {
      let overloaded = 0;
      for (let attempt = 0; attempt < 12; attempt += 1) {
        try {
          await join(target, randomBytes(16));
        } catch (error) {
          if (hasCode(error, 'overloaded')) overloaded += 1;
          continue;
        }
        throw new Error('a guess was let in');
      }
      if (overloaded === 0) throw new Error('all guesses were looked at');
    },
  },
];

/**
 * Resolves when the attacker's connection was closed, which takes three seconds where it stays silent.
 *
 * @throws Error when it is open after ten seconds
 */
export async function untilCutOff(isConnected: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (isConnected()) {
    if (performance.now() > deadline) throw new Error('still connected after ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
