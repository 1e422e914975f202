import { methods, SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { createIdentity } from './identity/identity.ts';
import { Cluster, untilCards } from './testing/cluster.ts';

test('lets two members talk over frames in both directions', async () => {
  await using cluster = new Cluster();
  const first = await cluster.add();
  const second = await cluster.add([first]);
  first.handle(methods.manifest, async (stream, { peerId }) => {
    const frame = await stream.read();
    await stream.write({ type: 'answer', to: peerId, heard: frame?.header }, frame?.payload);
  });

  const stream = await second.open(first.peerId, methods.manifest);
  await stream.write({ type: 'question' }, new Uint8Array([1, 2, 3]));
  const answer = await stream.read();
  expect(answer?.header).toEqual({ type: 'answer', to: second.peerId, heard: { type: 'question' } });
  expect([...(answer?.payload ?? [])]).toEqual([1, 2, 3]);
  expect(await stream.read()).toBeUndefined();

  const { sentBytes, receivedBytes } = second.traffic().peers.get(first.peerId) ?? { sentBytes: 0, receivedBytes: 0 };
  expect(sentBytes).toBeGreaterThan(0);
  expect(receivedBytes).toBeGreaterThan(0);
});

test('answers its own calls in the same process', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add();
  member.handle(methods.manifest, async (stream) => {
    for await (const { header } of stream) await stream.write({ type: 'echo', header });
  });
  const stream = await member.open(member.peerId, methods.manifest);
  await stream.write({ type: 'hello' });
  await stream.end();
  expect((await stream.read())?.header).toEqual({ type: 'echo', header: { type: 'hello' } });
  expect(await stream.read()).toBeUndefined();
});

test("throws at the caller what the remote's handler threw, and keeps internal errors to itself", async () => {
  await using cluster = new Cluster();
  const first = await cluster.add();
  const second = await cluster.add([first]);
  first.handle(methods.manifest, async () => {
    throw new SkeinError('model-not-found', 'no such model here');
  });
  first.handle(methods.stage, async () => {
    throw new TypeError('a path of mine');
  });

  const refused = await second.open(first.peerId, methods.manifest);
  await expect(refused.read()).rejects.toMatchObject({ code: 'model-not-found', message: 'no such model here' });
  const failed = await second.open(first.peerId, methods.stage);
  await expect(failed.read()).rejects.toMatchObject({ code: 'internal', message: /see the log/ });
  const unserved = await second.open(first.peerId, methods.generate);
  await expect(unserved.read()).rejects.toMatchObject({ code: 'not-running' });
});

test('makes four members of which three know one into a full mesh that sees every card', async () => {
  await using cluster = new Cluster();
  const hub = await cluster.add();
  const others = await Promise.all([cluster.add([hub]), cluster.add([hub]), cluster.add([hub])]);
  const all = [hub, ...others];
  for (const member of all) {
    await untilCards(member, (cards) => cards.length === 4);
    await expect.poll(() => member.connectedPeers().length, { timeout: 10_000 }).toBe(3);
  }
  others[0]?.updateCard({ name: 'renamed' });
  for (const member of all) await untilCards(member, (cards) => cards.some(({ name }) => name === 'renamed'));
});

test('tells others the addresses that it was told to announce, and no other', async () => {
  await using cluster = new Cluster();
  const first = await cluster.add();
  const second = await cluster.add([first], { announce: ['/ip4/192.0.2.7/tcp/17330'] });
  const announced = [`/ip4/192.0.2.7/tcp/17330/p2p/${second.peerId}`];
  expect(second.addresses()).toEqual(announced);
  await untilCards(first, (cards) => cards.some(({ addresses }) => addresses.join() === announced.join()));
  const ofAnother = `/ip4/192.0.2.7/tcp/17330/p2p/${first.peerId}`;
  for (const wrong of ['/dns4/attic.example/tcp/7330', '/ip4/999.1.1.1/tcp/7330', ofAnother]) {
    await expect(cluster.add([], { announce: [wrong] })).rejects.toMatchObject({ code: 'invalid-request' });
  }
});

test('tells others its own addresses beside those that it was told to announce, where it is asked to', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add([], { announce: ['/ip4/192.0.2.7/tcp/17330', 'own'] });
  expect(member.addresses()).toEqual([
    `/ip4/192.0.2.7/tcp/17330/p2p/${member.peerId}`,
    expect.stringMatching(new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/\\d+/p2p/${member.peerId}$`)),
  ]);
});

test('dials a member again after it has restarted on the same port', async () => {
  await using cluster = new Cluster();
  const identity = await createIdentity();
  const first = await cluster.add([], { identity });
  const second = await cluster.add([first]);
  await untilCards(second, (cards) => cards.length === 2);
  const listen = first.addresses().map((address) => address.replace(/\/p2p\/.*/, ''));
  await first.stop();
  await cluster.add([], { identity, listen, name: 'back again' });
  await untilCards(second, (cards) => cards.some(({ name }) => name === 'back again'));
  expect(second.connectedPeers()).toEqual([identity.peerId]);
});

test('starts and stops any number of times and stays stopped', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add();
  await member.start();
  const startedAt = performance.now();
  await Promise.all([member.stop(), member.stop()]);
  await member.stop();
  expect(performance.now() - startedAt).toBeLessThan(2000);
  await expect(member.start()).rejects.toMatchObject({ code: 'not-running' });
  await expect(member.open(member.peerId, methods.card)).rejects.toMatchObject({ code: 'not-running' });
});

test('answers a method by one handler at a time, until it is disposed', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add();
  const answering = (text: string) => member.handle(methods.manifest, async (stream) => await stream.write({ text }));
  const ask = async () => await (await member.open(member.peerId, methods.manifest)).read();

  const first = answering('first');
  expect(() => answering('second')).toThrow(expect.objectContaining({ code: 'already-running' }));
  expect((await ask())?.header).toEqual({ text: 'first' });
  first[Symbol.dispose]();
  await expect(ask()).rejects.toMatchObject({ code: 'not-running' });
  using _second = answering('second');
  // Disposing removes that handler, not its successor.
  first[Symbol.dispose]();
  expect((await ask())?.header).toEqual({ text: 'second' });
});

test('two daemons with one identity notice each other through anybody that both are connected to', async () => {
  await using cluster = new Cluster();
  const between = await cluster.add();
  const identity = await createIdentity();
  const original = await cluster.add([between], { identity });
  const copy = await cluster.add([between], { identity });
  for (const { hasIdentityConflict } of [between, original]) expect(hasIdentityConflict).toBe(false);
  await expect
    .poll(() => [original.hasIdentityConflict, copy.hasIdentityConflict], { timeout: 30_000 })
    .toEqual([true, true]);
  expect(between.hasIdentityConflict).toBe(false);
}, 40_000);
