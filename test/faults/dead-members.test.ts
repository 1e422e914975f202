import { createMesh, type LivenessPreset } from '@skein/mesh';
import { methods } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { enroll, newMeshKey } from '../../scripts/detection/membership.ts';
import { MemberProcess } from '../../scripts/detection/member-process.ts';
import { Relay } from '../../scripts/lan/relay.ts';

/** Far more than it takes: the test is that things are noticed. `npm run detection` measures how soon. */
const patienceMs = 30_000;

const meshKey = await newMeshKey();

/** A mesh of members in processes of their own, on the loopback interface. Disposing kills them. */
class Members implements Disposable {
  readonly all: MemberProcess[] = [];
  readonly #liveness: LivenessPreset;
  #hub: readonly string[] = [];

  /** Starts three. Resolves when all know each other. */
  static async start(liveness: LivenessPreset): Promise<Members> {
    const members = new Members(liveness);
    members.#hub = (await members.add()).addresses;
    await Promise.all([members.add(), members.add()]);
    await untilAllSee(members.all);
    return members;
  }

  private constructor(liveness: LivenessPreset) {
    this.#liveness = liveness;
  }

  async add(): Promise<{ readonly member: MemberProcess; readonly addresses: readonly string[] }> {
    const signal = AbortSignal.timeout(patienceMs);
    const settings = { meshKey, peers: this.#hub, liveness: this.#liveness };
    const member = await MemberProcess.create(settings, { signal });
    this.all.push(member);
    return { member, addresses: await member.start(signal) };
  }

  /** Returns the members that each has lost, of those that it knew. */
  get lost(): readonly (readonly string[])[] {
    return this.all.map(({ lost }) => lost);
  }

  [Symbol.dispose](): void {
    for (const member of this.all) member[Symbol.dispose]();
  }
}

/** Every member's card has come to every other one. */
async function untilAllSee(all: readonly MemberProcess[]): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  for (const member of all) {
    for (const { peerId } of all) if (peerId !== member.peerId) await member.until('came', { signal, peer: peerId });
  }
}

describe('a member', () => {
  it('that is busy is not taken for dead, nor does it take others for that', async () => {
    // Patient enough for a machine that is busy with other tests. Where patience ends, the tests of `FailureDetector` say.
    using members = await Members.start('wifi');
    const [left, right] = members.all;
    const signal = AbortSignal.timeout(patienceMs);
    right?.tell({ do: 'block', milliseconds: 1500, times: 4 });
    await right?.until('blocked', { signal });
    expect(members.lost).toEqual([[], [], []]);

    const bytes = 48 * 2 ** 20;
    await Promise.all([
      left?.send({ peer: right?.peerId ?? '', bytes, method: 'ring' }, signal),
      right?.send({ peer: left?.peerId ?? '', bytes, method: 'ring' }, signal),
      left?.send({ peer: right?.peerId ?? '', bytes, method: 'bytes' }, signal),
    ]);
    expect(members.lost).toEqual([[], [], []]);
  });
});

describe('in a mesh on cables, a member', () => {
  let members: Members;

  beforeAll(async () => {
    members = await Members.start('lan');
  });

  afterAll(() => {
    members[Symbol.dispose]();
  });

  it('whose own event loop stood still for long takes nobody for dead, and is back soon', async () => {
    const [stalled, ...others] = members.all;
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
    const others = members.all.slice(0, 3);
    const { member: victim } = await members.add();
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
