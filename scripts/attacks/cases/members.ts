import {
  cardSignatureContext,
  encodeValue,
  hasCode,
  methods,
  type Card,
  type Method,
  type Role,
} from '@skein/protocol';

import { createIdentity } from '../../../packages/mesh/src/identity/identity.ts';
import { signStatement } from '../../../packages/mesh/src/membership/statement.ts';
import { FrameStream } from '../../../packages/mesh/src/streams/frame-stream.ts';
import { expectRefusal, type Attack, type Target } from '../attack.ts';
import { ask, startHostileMember, type Attacker } from '../attacker.ts';
import { untilCutOff } from './joining.ts';

/** Makes an attack by a member that calls a method outside its role. */
export function withoutRole(role: Role, what: string, method: Method, request: object): Attack {
  return {
    name: `a ${role} that ${what}`,
    logged: /stream refused/,
    run: async (target) => {
      await using hostile = await startHostileMember(target, [role]);
      await expectRefusal(ask(hostile, method, request), 'not-permitted');
    },
  };
}

const load = { type: 'stage-load', deployment: 'deployment-of-mallory' };

type Hostile = Attacker & { readonly certificate: unknown };

/** Sends a card, or what passes for one, that is signed by the attacker. */
export async function sendCard(
  hostile: Hostile,
  card: Card,
  change: { payload?: Uint8Array; certificate?: unknown } = {},
): Promise<void> {
  const stream = await hostile.open(methods.card);
  const payload = change.payload ?? encodeValue(card);
  const signature = await hostile.identity.privateKey.sign(Buffer.concat([Buffer.from(cardSignatureContext), payload]));
  await stream.write({ type: 'card', signature, certificate: change.certificate ?? hostile.certificate }, payload);
  // A member may have two of these streams open.
  await stream.end();
}

/** Makes a card of a member that has nothing to tell. */
export function cardOf(peer: string, change: Partial<Card> = {}): Card {
  const content = { roles: ['peer' as const], name: 'mallory', software: 'x', addresses: [], models: [], stages: [] };
  return { peer, version: Date.now(), ...content, ...change };
}

/** Makes an attack with a card that must not be believed. */
function badCard(
  name: string,
  send: (hostile: Hostile, target: Target) => Promise<void>,
  logged = /refused a card/,
): Attack {
  return {
    name,
    logged,
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      await send(hostile, target);
      // A good card that comes after it shows that it was looked at.
      const marker = `after ${name}`.slice(0, 200);
      await sendCard(hostile, cardOf(hostile.identity.peerId, { name: marker, version: Date.now() + 1000 }));
      await until(() => target.members().some((member) => member.name === marker));
      const believed = target.members().filter((member) => member.name === 'mallory');
      if (believed.length > 0) throw new Error('the card was believed');
    },
  };
}

/** Sends a header of its own making, and waits for the answer. */
async function sendHeader(hostile: Attacker, header: Uint8Array): Promise<unknown> {
  const lengths = new Uint8Array(8);
  const view = new DataView(lengths.buffer);
  view.setUint32(0, 4 + header.byteLength, true);
  view.setUint32(4, header.byteLength, true);
  const stream = await hostile.openBytes(methods.revocations);
  await stream.write(Buffer.concat([lengths, header]));
  const answer = await new FrameStream(stream, { maxFrameBytes: 2 ** 20 }).read({ timeoutMs: 5000 });
  return answer?.header ?? 'the stream ended';
}

/** Makes references to two texts, as msgpackr's extension for bundled strings has them. */
function bundledStrings(bytes: number): Uint8Array {
  const count = Math.floor((bytes * 0.5) / 7);
  const textBytes = Math.floor((bytes - 5 - 7 * count - 10) / 2);
  const textsAt = 5 + 7 * count;
  const header = Buffer.alloc(textsAt + 10 + 2 * textBytes, 0x61);
  header[0] = 0xdd;
  header.writeUInt32BE(count, 1);
  for (let index = 0; index < count; index += 1) {
    const at = 5 + 7 * index;
    header.set([0xd6, 0x62], at);
    header.writeInt32BE(textsAt - (at + 6) + 4, at + 2);
    header[at + 6] = 0xc0;
  }
  for (const at of [textsAt, textsAt + 5 + textBytes]) {
    header[at] = 0xdb;
    header.writeUInt32BE(textBytes, at + 1);
  }
  return header;
}

/** Attempts of a member with a good certificate. */
export const members: readonly Attack[] = [
  withoutRole('client', 'deploys', methods.stage, load),
  withoutRole('client', 'joins a ring', methods.ring, { type: 'ring-open' }),
  withoutRole('client', 'fetches a model', methods.bytes, { type: 'bytes-request' }),
  withoutRole('client', 'lets another client in', methods.admitClient, {
    type: 'client-request',
    peer: 'x'.repeat(52),
  }),
  withoutRole('peer', 'deploys', methods.stage, load),
  withoutRole('peer', 'has another look at its hardware', methods.freshCard, { type: 'fresh-card-request' }),
  withoutRole('coordinator', 'joins a ring', methods.ring, { type: 'ring-open' }),
  {
    name: "a peer that asks for a certificate in another member's name",
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      const request = { type: 'client-request', peer: target.victim };
      await expectRefusal(ask(hostile, methods.admitClient, request), 'invalid-request');
    },
  },
  {
    name: 'a peer that asks for certificates without end',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      for (let count = 0; count < 64; count += 1) {
        const { peerId: peer } = await createIdentity();
        try {
          await ask(hostile, methods.admitClient, { type: 'client-request', peer });
        } catch (error) {
          if (hasCode(error, 'overloaded')) return;
          throw error;
        }
      }
      throw new Error('it got 64 of them');
    },
  },
  badCard("another member's card, forged", async (hostile, { victim }) => await sendCard(hostile, cardOf(victim))),
  badCard('a card of a machine that is no member', async (hostile) => {
    await sendCard(hostile, cardOf((await createIdentity()).peerId));
  }),
  badCard('a card that claims a role', async (hostile) => {
    await sendCard(hostile, cardOf(hostile.identity.peerId, { roles: ['coordinator'] }));
  }),
  badCard('a card that was changed after it was signed', async (hostile) => {
    const payload = encodeValue(cardOf(hostile.identity.peerId));
    const signature = await hostile.identity.privateKey.sign(Buffer.from('something else'));
    const stream = await hostile.open(methods.card);
    await stream.write({ type: 'card', signature, certificate: hostile.certificate }, payload);
  }),
  badCard('a card that is none', async (hostile) => {
    await sendCard(hostile, cardOf(hostile.identity.peerId), { payload: new Uint8Array(100).fill(0xff) });
  }),
  {
    name: 'an old card, replayed',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      const { peerId } = hostile.identity;
      await sendCard(hostile, cardOf(peerId, { name: 'new', version: 2000 }));
      await until(() => target.members().some((member) => member.peer === peerId && member.name === 'new'));
      await sendCard(hostile, cardOf(peerId, { name: 'old', version: 1000 }));
      await sendCard(hostile, cardOf(peerId, { name: 'newest', version: 3000 }));
      await until(() => target.members().some((member) => member.peer === peerId && member.name === 'newest'));
      if (target.members().some((member) => member.name === 'old')) throw new Error('the old card was believed');
    },
  },
  {
    name: 'a client that asks what the cache of a lead holds, with a key for digests that is none',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['client']);
      const request = { type: 'prefixes-ask', deployment: 'deployment-of-mallory', key: new Uint8Array(1) };
      await expectRefusal(ask(hostile, methods.prefixes, request), 'protocol-violation', 'not-running');
    },
  },
  {
    name: 'a frame that says the same text over and over',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['client']);
      await expectRefusal(sendHeader(hostile, bundledStrings(100_000)), 'protocol-violation', 'peer-lost');
    },
  },
  {
    name: 'a frame of millions of empty maps',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['client']);
      const count = 4_000_000;
      const maps = Buffer.concat([Uint8Array.of(0xdd, 0, 0, 0, 0), Buffer.alloc(count, 0x80)]);
      maps.writeUInt32BE(count, 1);
      await expectRefusal(sendHeader(hostile, maps), 'protocol-violation', 'peer-lost');
    },
  },
  {
    name: 'a card of a megabyte',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      const attempt = async (): Promise<unknown> => {
        const stream = await hostile.open(methods.card);
        await stream.write({ type: 'card' }, new Uint8Array(1_000_000));
        for (;;) if ((await stream.read({ timeoutMs: 5000 })) === undefined) return 'the stream ended';
      };
      await expectRefusal(attempt(), 'frame-too-large', 'protocol-violation', 'peer-lost');
    },
  },
  {
    name: 'a revocation list that a member has made',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      const revoked = [{ peer: target.victim, revokedAt: Date.now() }];
      const list = {
        mesh: target.authority.mesh,
        version: Number.MAX_SAFE_INTEGER,
        issuedAt: Date.now(),
        epoch: 1,
        graceEndsAt: 0,
        revoked,
      };
      const signed = await signStatement('skein-revocations-1:', list, hostile.identity.privateKey);
      const request = { type: 'revocations', list: signed };
      await expectRefusal(ask(hostile, methods.revocations, request), 'protocol-violation');
    },
  },
  {
    name: 'a member that was revoked and stays connected',
    run: async (target) => {
      await using hostile = await startHostileMember(target, ['peer']);
      await target.authority.revoke(hostile.identity.peerId);
      await untilCutOff(hostile.isConnected);
    },
  },
];

/** Waits until a condition holds, for ten seconds at most. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error('what should be seen was not, in ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
