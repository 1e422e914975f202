import { encodeFrame, methods, silentLogger, type Certificate, type Method } from '@skein/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { createIdentity, type Identity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import { testPath } from '../diagnosis/test-path.ts';
import { Membership, type Credentials } from '../membership/membership.ts';
import { signStatement } from '../membership/statement.ts';
import type { Mesh } from '../mesh.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { createLibp2pTransport } from '../transport/libp2p/libp2p-transport.ts';
import type { Connection, Transport } from '../transport/transport.ts';

const guarded: readonly Method[] = Object.values(methods).filter(({ callers }) => callers !== 'anybody');
/** Answered by members themselves, some by the one that holds the authority. */
const builtIn: readonly Method[] = [
  methods.alive,
  methods.card,
  methods.revocations,
  methods.renew,
  methods.admitClient,
  methods.leave,
];

let cluster: Cluster;
let authority: Authority;
let authorityKey: Identity;
let member: Mesh;
let served: string[];
let stranger: Transport;
let strangersIdentity: Identity;

beforeEach(async () => {
  authorityKey = await createIdentity();
  authority = await Authority.open({ key: authorityKey, save: async () => undefined });
  cluster = new Cluster(authority);
  member = await cluster.add([], { authority });
  served = [];
  for (const method of guarded) {
    if (builtIn.includes(method)) continue;
    member.handle(method, async (stream) => {
      served.push(method.id);
      await stream.write({ type: 'secret' });
    });
  }
  strangersIdentity = await createIdentity();
  stranger = await createLibp2pTransport({ ...strangersIdentity, listen: [] });
  await stranger.start();
});

afterEach(async () => {
  await stranger.stop();
  await cluster[Symbol.asyncDispose]();
});

async function dialAsStranger(): Promise<Connection> {
  return await stranger.dial(member.addresses(), { force: true });
}

test('gives a host that skips the handshake no service on any method', async () => {
  for (const method of guarded) {
    const connection = await dialAsStranger();
    const attempt = async (): Promise<unknown> => {
      const stream = new FrameStream(await connection.openStream(method.id), method);
      await stream.write({ type: 'anything' });
      return await stream.read({ timeoutMs: 2000 });
    };
    await expect(attempt()).rejects.toMatchObject({ code: 'peer-lost' });
    await connection.closed;
  }
  expect(served).toEqual([]);
});

test('gives a member of another mesh no service on any method, and tells it why', async () => {
  await using otherMesh = new Cluster();
  const outsider = await otherMesh.add([member]);
  for (const method of guarded) {
    await expect(outsider.open(member.peerId, method)).rejects.toMatchObject({ code: 'not-a-member' });
  }
  expect(served).toEqual([]);
  expect(member.connectedPeers()).toEqual([]);
  expect(member.cards.snapshot()).toHaveLength(1);
});

/** Shows a certificate in the handshake, and resolves with the answer. */
async function show(certificate: Credentials['certificate']): Promise<unknown> {
  const connection = await dialAsStranger();
  const handshake = new FrameStream(await connection.openStream(methods.handshake.id), methods.handshake);
  await handshake.write({ type: 'handshake-hello', certificate, revocations: 0 });
  return (await handshake.read())?.header;
}

/** A certificate for the stranger, with some claims changed, and signed by the mesh's authority or by somebody else. */
async function certificateWith(change: Partial<Certificate>, signer?: Identity): Promise<Credentials['certificate']> {
  const key = signer ?? authorityKey;
  const now = Date.now();
  const claims: Certificate = {
    mesh: authorityKey.peerId,
    peer: strangersIdentity.peerId,
    roles: ['peer'],
    name: '',
    labels: {},
    epoch: 1,
    issuedAt: now,
    expiresAt: now + 60_000,
    ...change,
  };
  return await signStatement('skein-certificate-1:', claims, key.privateKey);
}

test('lets a host in that shows a good certificate', async () => {
  expect(await show(await certificateWith({}))).toMatchObject({ type: 'handshake-welcome' });
});

test.each([
  ['of another machine', async () => await certificateWith({ peer: member.peerId }), /another machine/],
  ['that has expired', async () => await certificateWith({ issuedAt: 1, expiresAt: Date.now() - 1 }), /expired/],
  ['from the future', async () => await certificateWith({ issuedAt: Date.now() + 3_600_000 }), /clocks/],
  ['of an old epoch', async () => await certificateWith({ epoch: 1 }), /old epoch/],
  [
    'that somebody else has signed',
    async () => await certificateWith({}, await createIdentity()),
    /another mesh, or forged/,
  ],
  [
    'that its own holder has signed',
    async () => await certificateWith({}, strangersIdentity),
    /another mesh, or forged/,
  ],
  ['that names another mesh', async () => await certificateWith({ mesh: strangersIdentity.peerId }), /another mesh/],
  [
    'with a changed claim',
    async () => {
      const { signature } = await certificateWith({});
      return { bytes: (await certificateWith({ roles: ['coordinator'] })).bytes, signature };
    },
    /forged/,
  ],
  ['with a revoked peer id', async () => await revokedCertificate(), /revoked/],
])('refuses a certificate %s, and says why', async (name, make, reason) => {
  if (name === 'of an old epoch') for (let epoch = 0; epoch < 2; epoch += 1) await authority.rotate();
  const certificate = await make();
  await vi.waitFor(() => expect(member.membership.revocations.version).toBe(authority.listVersion));
  await expect(show(certificate)).rejects.toMatchObject({
    code: 'not-a-member',
    message: expect.stringMatching(reason) as string,
  });
  expect(member.connectedPeers()).toEqual([]);
  await vi.waitFor(() => expect(stranger.connections()).toEqual([]));
});

test('tells a member that is refused since the clocks differ which one is ahead, and by how much', async () => {
  const aheadMs = 2 * 3_600_000;
  const identity = await createIdentity();
  const { credentials } = await authority.admit(identity.peerId, { roles: ['peer'] });
  const membership = await Membership.open(authority.mesh, credentials, { now: () => Date.now() + aheadMs });
  const ahead = await cluster.add([], { identity, membership });
  // The certificate of a client lasts an hour.
  const client = await createIdentity();
  const ofAnHour = await authority.admitClient(client.peerId, member.peerId);
  const way = {
    address: ahead.addresses()[0] ?? '',
    identity: client,
    membership: await Membership.open(authority.mesh, ofAnHour),
    signal: AbortSignal.timeout(10_000),
  };
  expect((await Array.fromAsync(testPath(way))).at(-1)).toMatchObject({
    step: 'certificate',
    ok: false,
    detail: expect.stringContaining("the other machine's clock is 2 hours ahead of this machine's") as string,
    fix: 'set the clocks of both machines, best by NTP',
  });
  const told: string[] = [];
  const logger = { ...silentLogger, warn: (fields: object) => void told.push(JSON.stringify(fields)) };
  await cluster.add([ahead], { identity: client, membership: way.membership, roles: ['client'], logger });
  await vi.waitFor(() => expect(told.join()).toContain("clock is 2 hours ahead of this machine's"), {
    timeout: 10_000,
  });
});

async function revokedCertificate(): Promise<Credentials['certificate']> {
  const { credentials } = await authority.admit(strangersIdentity.peerId, { roles: ['peer'] });
  await authority.revoke(strangersIdentity.peerId);
  return credentials.certificate;
}

test('tells a member that lacks the role so, and keeps its connection', async () => {
  const client = await cluster.add([member], { roles: ['client'] });
  await untilCards(client, (cards) => cards.length === 2);
  for (const method of [methods.stage, methods.ring, methods.bytes]) {
    const attempt = async (): Promise<unknown> => {
      const stream = await client.open(member.peerId, method);
      return await stream.read({ timeoutMs: 2000 });
    };
    await expect(attempt()).rejects.toMatchObject({ code: 'not-permitted' });
  }
  expect(served).toEqual([]);
  expect(client.connectedPeers()).toEqual([member.peerId]);
});

test('closes the connections of a revoked member everywhere', async () => {
  const second = await cluster.add([member]);
  const third = await cluster.add([member, second]);
  await untilCards(third, (cards) => cards.length === 3);
  await authority.revoke(second.peerId);
  await vi.waitFor(() => {
    expect(member.connectedPeers()).toEqual([third.peerId]);
    expect(third.connectedPeers()).toEqual([member.peerId]);
  });
  for (const mesh of [member, third]) {
    expect(mesh.cards.snapshot().map(({ peer }) => peer)).not.toContain(second.peerId);
    await expect(mesh.open(second.peerId, methods.manifest)).rejects.toThrow(/revoked|no known address|nobody answers/);
  }
  await expect(second.open(member.peerId, methods.manifest)).rejects.toMatchObject({ code: 'not-a-member' });
});

test('closes a connection that does nothing within three seconds', async () => {
  const connection = await dialAsStranger();
  const openedAt = performance.now();
  await connection.closed;
  expect(performance.now() - openedAt).toBeLessThan(4000);
});

test('survives garbage and oversized frames in the handshake', async () => {
  const garbage = [
    new Uint8Array(512).fill(0xff),
    encodeFrame({ type: 'handshake-hello', certificate: { bytes: new Uint8Array(5), signature: new Uint8Array(64) } }),
    encodeFrame({ type: 'handshake-hello' }, new Uint8Array(20_000)),
  ];
  for (const bytes of garbage) {
    const connection = await dialAsStranger();
    const stream = await connection.openStream(methods.handshake.id);
    await stream.write(bytes);
    await connection.closed;
    expect(connection.isOpen).toBe(false);
  }
  const newcomer = await cluster.add([member]);
  await untilCards(newcomer, (cards) => cards.length === 2);
});
