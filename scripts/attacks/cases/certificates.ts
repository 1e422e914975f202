import { randomBytes } from 'node:crypto';

import { methods, type Certificate, type Method, type Signed } from '@skein/protocol';

import { createIdentity, type Identity } from '../../../packages/mesh/src/identity/identity.ts';
import { Authority } from '../../../packages/mesh/src/membership/authority.ts';
import { signStatement } from '../../../packages/mesh/src/membership/statement.ts';
import { expectRefusal, type Attack, type Target } from '../attack.ts';
import { startAttacker, startHostileMember } from '../attacker.ts';

const refusedInHandshake = /refused in the handshake/;
const guarded: readonly Method[] = Object.values(methods).filter(({ callers }) => callers !== 'anybody');

/** Shows a certificate from a host with this identity. */
async function show(target: Target, certificate: Signed, identity?: Identity): Promise<void> {
  await using attacker = await startAttacker(target, identity);
  await expectRefusal(attacker.show(certificate), 'not-a-member', 'protocol-violation');
}

/** Makes a certificate without the authority's key: one of this mesh that an attacker signed. */
async function forge(target: Target, identity: Identity, change: Partial<Certificate> = {}): Promise<Signed> {
  const now = Date.now();
  const claims: Certificate = {
    mesh: target.authority.mesh,
    peer: identity.peerId,
    roles: ['peer', 'coordinator'],
    name: 'mallory',
    labels: {},
    epoch: 1,
    issuedAt: now,
    expiresAt: now + 3_600_000,
    ...change,
  };
  return await signStatement('skein-certificate-1:', claims, identity.privateKey);
}

/** Makes an attack with a real member's certificate, changed. */
function changed(name: string, change: (certificate: Signed, target: Target) => Signed | Promise<Signed>): Attack {
  return {
    name,
    logged: refusedInHandshake,
    run: async (target) => {
      const { identity, membership } = await target.authority.enroll(['peer']);
      await show(target, await change(membership.credentials.certificate, target), identity);
    },
  };
}

/** Attempts to be admitted, or to go around admission. */
export const certificates: readonly Attack[] = [
  ...guarded.map((method): Attack => ({
    name: `${method.id} without a certificate`,
    logged: /stream refused/,
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const attempt = async (): Promise<unknown> => {
        const stream = await attacker.open(method);
        await stream.write({ type: 'anything' });
        return (await stream.read({ timeoutMs: 5000 }))?.header;
      };
      await expectRefusal(
        attempt(),
        'peer-lost',
        'not-a-member',
        'StreamResetError',
        'ERR_STREAM_RESET',
        'ERR_CONNECTION_CLOSED',
      );
    },
  })),
  {
    name: 'a certificate of another mesh',
    logged: refusedInHandshake,
    run: async (target) => {
      const { identity, membership } = await (await Authority.ephemeral()).enroll(['coordinator']);
      await show(target, membership.credentials.certificate, identity);
    },
  },
  {
    name: "another member's certificate",
    logged: refusedInHandshake,
    run: async (target) => {
      const { membership } = await target.authority.enroll(['coordinator']);
      await show(target, membership.credentials.certificate);
    },
  },
  {
    name: 'a certificate that its holder has signed',
    logged: refusedInHandshake,
    run: async (target) => {
      const identity = await createIdentity();
      await show(target, await forge(target, identity), identity);
    },
  },
  {
    name: 'a certificate that names its holder as the mesh',
    logged: refusedInHandshake,
    run: async (target) => {
      const identity = await createIdentity();
      await show(target, await forge(target, identity, { mesh: identity.peerId }), identity);
    },
  },
  changed('a certificate with a random signature', ({ bytes }) => ({ bytes, signature: randomBytes(64) })),
  changed('a certificate with a signature of zeros', ({ bytes }) => ({ bytes, signature: new Uint8Array(64) })),
  changed('a certificate with half a signature', ({ bytes, signature }) => ({
    bytes,
    signature: signature.subarray(0, 32),
  })),
  changed('a certificate with a changed byte', ({ bytes, signature }) => {
    const copy = Uint8Array.from(bytes);
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
    return { bytes: copy, signature };
  }),
  changed('a certificate that was cut short', ({ bytes, signature }) => ({ bytes: bytes.subarray(0, -4), signature })),
  changed('a certificate with something behind it', ({ bytes, signature }) => ({
    bytes: Buffer.concat([bytes, randomBytes(4)]),
    signature,
  })),
  changed('an empty certificate', () => ({ bytes: new Uint8Array(0), signature: new Uint8Array(64) })),
  changed("the authority's revocation list in place of a certificate", async (_, { authority }) => {
    return (await authority.enroll(['peer'])).membership.credentials.revocations;
  }),
  changed('a certificate that is too long', ({ signature }) => ({ bytes: randomBytes(5000), signature })),
  {
    name: 'a revoked member that connects again',
    logged: refusedInHandshake,
    run: async (target) => {
      const hostile = await startHostileMember(target, ['peer']);
      await target.authority.revoke(hostile.identity.peerId);
      await hostile[Symbol.asyncDispose]();
      await show(target, hostile.certificate, hostile.identity);
    },
  },
];
