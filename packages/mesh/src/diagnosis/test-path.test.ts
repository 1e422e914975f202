import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createIdentity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import type { Mesh } from '../mesh.ts';
import { Cluster } from '../testing/cluster.ts';
import { testPath, type PathStep, type TestPathOptions } from './test-path.ts';

const never = new AbortController().signal;
let cluster: Cluster;
let member: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

async function pathTo(address: string, as?: Pick<TestPathOptions, 'identity' | 'membership'>): Promise<PathStep[]> {
  const who = as ?? (await (await cluster.authority()).enroll(['peer']));
  return await Array.fromAsync(testPath({ ...who, address, signal: never }));
}

function addressOf(mesh: Mesh): string {
  return mesh.addresses()[0] ?? '';
}

async function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('220 not for you\r\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test('goes all the way to a member, and says what each step found', async () => {
  const steps = await pathTo(addressOf(member));
  expect(steps.filter(({ ok }) => !ok)).toEqual([]);
  expect(steps.map(({ step }) => step).slice(0, 5)).toEqual(['resolve', 'tcp', 'noise', 'certificate', 'protocol']);
});

test('says that nothing listens', async () => {
  const { server, port } = await listen();
  server.close();
  await once(server, 'close');
  const last = (await pathTo(`/ip4/127.0.0.1/tcp/${port}`)).at(-1);
  expect(last).toMatchObject({ step: 'tcp', ok: false, detail: expect.stringContaining('nothing listens') as string });
});

test('says that what listens is not Skein', async () => {
  const { server, port } = await listen();
  const last = (await pathTo(`/ip4/127.0.0.1/tcp/${port}`)).at(-1);
  server.close();
  expect(last).toMatchObject({ step: 'noise', ok: false, fix: expect.stringContaining('not Skein') as string });
});

test('says that another machine has the address now', async () => {
  const { peerId } = await createIdentity();
  const address = addressOf(member).split('/p2p/')[0] ?? '';
  expect((await pathTo(`${address}/p2p/${peerId}`)).at(-1)).toMatchObject({ step: 'noise', ok: false });
});

test('passes on why it was not let in', async () => {
  const foreign = await (await Authority.ephemeral()).enroll(['peer']);
  expect((await pathTo(addressOf(member), foreign)).at(-1)).toMatchObject({
    step: 'certificate',
    ok: false,
    detail: expect.stringContaining('another mesh') as string,
  });
  const authority = await cluster.authority();
  const revoked = await authority.enroll(['peer']);
  await authority.revoke(revoked.identity.peerId);
  const { credentials } = (await authority.enroll(['peer'])).membership;
  await member.membership.adopt(credentials.revocations);
  expect((await pathTo(addressOf(member), revoked)).at(-1)).toMatchObject({
    step: 'certificate',
    detail: expect.stringContaining('revoked') as string,
  });
});

test('says that a name is not known', async () => {
  const last = (await pathTo('/dns4/nobody.invalid/tcp/7330')).at(-1);
  expect(last).toMatchObject({ step: 'resolve', ok: false });
});
