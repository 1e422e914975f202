import { createMesh } from '@skein/mesh';
import { methods } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { enroll, newMeshKey } from '../../scripts/detection/membership.ts';
import { MemberProcess } from '../../scripts/detection/member-process.ts';
import { Relay } from '../../scripts/lan/relay.ts';

/** Far more than it takes: what is tested is that things are noticed. How soon, `npm run detection` measures. */
const patienceMs = 30_000;

/** Members in processes of their own, on the loopback interface. */
const members: MemberProcess[] = [];
const meshKey = await newMeshKey();
let hub: readonly string[];

async function add(): Promise<MemberProcess> {
  const signal = AbortSignal.timeout(patienceMs);
  const member = await MemberProcess.create({ meshKey, peers: hub }, { signal });
  members.push(member);
  await member.start(signal);
  return member;
}

/** Every member's card has come to every other one. */
async function untilAllSee(all: readonly MemberProcess[]): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  for (const member of all) {
    for (const { peerId } of all) if (peerId !== member.peerId) await member.until('came', { signal, peer: peerId });
  }
}

beforeAll(async () => {
  hub = [];
  const signal = AbortSignal.timeout(patienceMs);
  const first = await MemberProcess.create({ meshKey }, { signal });
  members.push(first);
  hub = await first.start(signal);
  await Promise.all([add(), add()]);
  await untilAllSee(members);
});

afterAll(() => {
  for (const member of members) member[Symbol.dispose]();
});

describe('a member', () => {
  it('that is slow is not taken for dead, nor does it take others for that', async () => {
    const slow = members[1];
    slow?.tell({ do: 'block', milliseconds: 700, times: 8 });
    await slow?.until('blocked', { signal: AbortSignal.timeout(patienceMs) });
    expect(members.map(({ lost }) => lost)).toEqual([[], [], []]);
  });

  it('that sends and gets bulk is not taken for dead', async () => {
    const [left, right] = members;
    const signal = AbortSignal.timeout(patienceMs);
    const bytes = 96 * 2 ** 20;
    await Promise.all([
      left?.send({ peer: right?.peerId ?? '', bytes, method: 'ring' }, signal),
      right?.send({ peer: left?.peerId ?? '', bytes, method: 'ring' }, signal),
      left?.send({ peer: right?.peerId ?? '', bytes, method: 'bytes' }, signal),
    ]);
    expect(members.map(({ lost }) => lost)).toEqual([[], [], []]);
  });

  it('whose own event loop stood still for long takes nobody for dead, and is back soon', async () => {
    const [stalled, ...others] = members;
    const from = others.map(({ messages }) => messages.length);
    const before = stalled?.messages.length;
    stalled?.tell({ do: 'block', milliseconds: 3000, times: 1 });
    const signal = AbortSignal.timeout(patienceMs);
    const peer = stalled?.peerId ?? '';
    for (const [index, other] of others.entries()) {
      for (const type of ['declared-dead', 'came'] as const) {
        await other.until(type, { signal, peer, from: from[index] ?? 0 });
      }
    }
    const since = stalled?.messages.slice(before).map(({ type }) => type);
    expect(since).not.toContain('declared-dead');
  });

  it.each(['SIGSTOP', 'SIGKILL'] as const)('that gets %s is missed by all others', async (name) => {
    const others = members.slice(0, 3);
    const victim = await add();
    await untilAllSee([...others, victim]);
    const signal = AbortSignal.timeout(patienceMs);
    // Cards are passed on; from here on everyone is connected to it.
    for (const { peerId } of others) await victim.send({ peer: peerId, bytes: 1, method: 'ring' }, signal);
    victim.signal(name);
    for (const other of others) await other.until('gone', { signal, peer: victim.peerId });
    expect(others.map(({ lost }) => lost.includes(victim.peerId))).toEqual([true, true, true]);
    victim.signal('SIGKILL');
  });
});

it('fails what waits for a member behind a link that goes dark, and finds another way to it', async () => {
  await using stack = new AsyncDisposableStack();
  const start = async (peers: readonly string[]) => {
    const mesh = await createMesh({ ...(await enroll(meshKey)), roles: ['peer'], mdns: false, peers });
    stack.defer(async () => await mesh.stop());
    await mesh.start();
    return mesh;
  };
  const far = await start([]);
  far.handle(methods.stage, async (stream) => void (await stream.read()));
  const [address = ''] = far.addresses();
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
  const relay = stack.use(await Relay.listen({ host: '127.0.0.1', to: { host: '127.0.0.1', port } }));
  const near = await start([`/ip4/127.0.0.1/tcp/${relay.port}/p2p/${far.peerId}`]);
  await expect.poll(() => near.cards.snapshot(), { timeout: patienceMs }).toHaveLength(2);

  const waiting = await near.open(far.peerId, methods.stage);
  relay.cut();
  await expect(waiting.read({ timeoutMs: patienceMs })).rejects.toMatchObject({ code: 'peer-lost' });
  // The card that came over the relay named the member's own address.
  await expect.poll(() => near.connectedPeers(), { timeout: patienceMs }).toEqual([far.peerId]);
  await expect.poll(() => near.cards.snapshot(), { timeout: patienceMs }).toHaveLength(2);
});
