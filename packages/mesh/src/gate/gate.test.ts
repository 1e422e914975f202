import type { Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { encodeFrame, methods, type Method } from '@skein/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Arrivals } from '../host/arrivals.ts';
import { createHost } from '../host/create-host.ts';
import { createIdentity } from '../identity/identity.ts';
import { MeshSecret } from '../identity/mesh-secret.ts';
import type { Mesh } from '../mesh.ts';
import { ByteStream } from '../streams/byte-stream.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';

const guarded: readonly Method[] = Object.values(methods).filter(({ ungated }) => !ungated);

let cluster: Cluster;
let member: Mesh;
let served: string[];
let stranger: Libp2p;

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
  served = [];
  for (const method of guarded) {
    // The member answers these itself.
    if (method === methods.card || method === methods.alive) continue;
    member.handle(method, async (stream) => {
      served.push(method.id);
      await stream.write({ type: 'secret' });
    });
  }
  stranger = await createHost({ ...(await createIdentity()), listen: [], arrivals: new Arrivals() });
  await stranger.start();
});

afterEach(async () => {
  await stranger.stop();
  await cluster[Symbol.asyncDispose]();
});

async function dialAsStranger(): ReturnType<Libp2p['dial']> {
  const addresses = member.addresses().map((address) => multiaddr(address));
  return await stranger.dial(addresses, { force: true });
}

test('gives a host that skips the gate no service on any method', async () => {
  for (const method of guarded) {
    const connection = await dialAsStranger();
    const attempt = async (): Promise<unknown> => {
      const stream = new FrameStream(new ByteStream(await connection.newStream(method.id)), method);
      await stream.write({ type: 'anything' });
      return await stream.read({ timeoutMs: 2000 });
    };
    await expect(attempt()).rejects.toThrow(/lost|reset|closed/i);
    await vi.waitFor(() => expect(connection.status).not.toBe('open'));
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

test('closes a connection whose dialler sends a wrong proof', async () => {
  const connection = await dialAsStranger();
  const gate = new FrameStream(new ByteStream(await connection.newStream(methods.gate.id)), methods.gate);
  await gate.write({ type: 'gate-hello', nonce: new Uint8Array(32) });
  expect((await gate.read())?.header).toMatchObject({ type: 'gate-challenge' });
  await gate.write({ type: 'gate-proof', proof: new Uint8Array(32) });
  await expect(gate.read()).rejects.toMatchObject({ code: 'peer-lost' });
  await vi.waitFor(() => expect(connection.status).not.toBe('open'));
});

test('does not accept its own proof reflected by the dialler', async () => {
  const connection = await dialAsStranger();
  const gate = new FrameStream(new ByteStream(await connection.newStream(methods.gate.id)), methods.gate);
  await gate.write({ type: 'gate-hello', nonce: new Uint8Array(32) });
  const challenge = (await gate.read())?.header as { proof: Uint8Array };
  await gate.write({ type: 'gate-proof', proof: challenge.proof });
  await expect(gate.read()).rejects.toMatchObject({ code: 'peer-lost' });
});

test('closes a connection that does nothing within three seconds', async () => {
  const connection = await dialAsStranger();
  const closed = new Promise((resolve) => connection.addEventListener('close', resolve));
  const openedAt = performance.now();
  await closed;
  expect(performance.now() - openedAt).toBeLessThan(4000);
});

test('survives garbage and oversized frames at the gate', async () => {
  const garbage = [
    new Uint8Array(512).fill(0xff),
    encodeFrame({ type: 'gate-hello', nonce: new Uint8Array(5) }),
    encodeFrame({ type: 'gate-hello' }, new Uint8Array(2000)),
  ];
  for (const bytes of garbage) {
    const connection = await dialAsStranger();
    const stream = new ByteStream(await connection.newStream(methods.gate.id));
    await stream.write(bytes);
    await expect(stream.read()).rejects.toMatchObject({ code: 'peer-lost' });
  }
  const newcomer = await cluster.add([member]);
  await untilCards(newcomer, (cards) => cards.length === 2);
});

test('does not print the secret', () => {
  const secret = MeshSecret.generate();
  expect(JSON.stringify({ secret })).toBe('{"secret":"[redacted]"}');
  expect(String(secret)).toBe('[redacted]');
});
