import { methods, silentLogger, type Card } from '@skein/protocol';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';

import type { Identity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import type { Membership } from '../membership/membership.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { memoryStreamPair } from '../transport/memory/memory-stream.ts';
import { listMembers } from './firsthand.ts';
import { Gossip } from './gossip.ts';
import { OwnCard, type CardContent } from './own-card.ts';
import { signCard, verifyCard } from './signed-card.ts';

const content: CardContent = {
  roles: ['peer'],
  name: 'somebody',
  software: 'test',
  addresses: [],
  models: [],
  stages: [],
};

let authority: Authority;
let hub: { readonly gossip: Gossip; readonly identity: Identity; readonly changed: () => Promise<void> };
const streams: FrameStream[] = [];

beforeEach(async () => {
  authority = await Authority.ephemeral();
  const { identity, membership } = await authority.enroll(['peer']);
  let change = Promise.withResolvers<void>();
  const gossip = new Gossip({
    own: new OwnCard({ ...identity, membership }, content),
    membership,
    logger: silentLogger,
    isConnected: () => true,
    onChange: () => change.resolve(),
  });
  const changed = async (): Promise<void> => {
    await change.promise;
    change = Promise.withResolvers();
  };
  hub = { gossip, identity, changed };
  gossip.start();
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.abort();
  await hub.gossip.stop();
});

/** A member that has a stream of cards with the hub, and says on it what a test wants. */
class Neighbour {
  readonly identity: Identity;
  readonly #membership: Membership;
  readonly #stream: FrameStream;
  #version = 0;
  #name = 'somebody';

  constructor({ identity, membership }: Awaited<ReturnType<Authority['enroll']>>) {
    this.identity = identity;
    this.#membership = membership;
    const [near, far] = memoryStreamPair();
    this.#stream = new FrameStream(near, methods.card);
    const atHub = new FrameStream(far, methods.card);
    streams.push(this.#stream);
    void hub.gossip.exchange(identity.peerId, atHub).catch(() => undefined);
  }

  static async join(): Promise<Neighbour> {
    return new Neighbour(await authority.enroll(['peer']));
  }

  /** Sends a new card, and waits until the hub has it. Returns its version. */
  async send(change: Partial<Card> = {}, says: Record<string, unknown> = {}): Promise<number> {
    this.#name = `somebody ${this.#version}`;
    const version = await this.beat(change, says);
    await hub.changed();
    return version;
  }

  /** Sends the same card once more, as a heartbeat. Returns its version. */
  async beat(change: Partial<Card> = {}, says: Record<string, unknown> = {}): Promise<number> {
    this.#version += 1;
    const card = { ...content, peer: this.identity.peerId, version: this.#version, name: this.#name, ...change };
    const { certificate } = this.#membership.credentials;
    const { signature, bytes } = await signCard(card, { ...this.identity, certificate });
    await this.#stream.write({ type: 'card', signature, certificate, ...says }, bytes);
    return this.#version;
  }

  /** Returns the cards that have come, up to one that the hub makes now, and what it says of itself with that one. */
  async read(): Promise<{ readonly versions: ReadonlyMap<string, number>; readonly firsthand: unknown }> {
    const { card: last } = await hub.gossip.renew();
    const versions = new Map<string, number>();
    let firsthand: unknown;
    for (;;) {
      const frame = await this.#stream.read();
      if (frame === undefined) throw new Error('the hub has ended the stream');
      const { card } = await verifyCard(frame, this.#membership);
      versions.set(card.peer, card.version);
      firsthand = (frame.header as { firsthand?: unknown }).firsthand ?? firsthand;
      if (card.peer === last.peer && card.version >= last.version) return { versions, firsthand };
    }
  }

  async leave(): Promise<void> {
    this.#stream.abort();
    await this.#stream.closed;
  }
}

test('passes a card on to all that do not say they get it from its member, however many connections they claim', async () => {
  const [near, far] = [await Neighbour.join(), await Neighbour.join()];
  // As the number came to be when a member connected to it that said nothing.
  await far.send({ connected: 9 } as Partial<Card>);
  const version = await near.send();
  expect((await far.read()).versions.get(near.identity.peerId)).toBe(version);
});

test('spares a member the cards that it gets first-hand, for as long as it says so', async () => {
  const [near, other, far] = [await Neighbour.join(), await Neighbour.join(), await Neighbour.join()];
  await far.send({}, { firsthand: listMembers([near.identity.peerId]) });
  await far.read();
  await near.send();
  const version = await other.send();
  const { versions } = await far.read();
  expect(versions.get(other.identity.peerId)).toBe(version);
  expect(versions.has(near.identity.peerId)).toBe(false);
  // A card that says nothing of it changes nothing.
  await far.send();
  await near.send();
  expect((await far.read()).versions.has(near.identity.peerId)).toBe(false);
  await far.send({}, { firsthand: listMembers([]) });
  const latest = await near.send();
  expect((await far.read()).versions.get(near.identity.peerId)).toBe(latest);
});

test('says whose cards come from themselves, not who is connected or whom others speak of', async () => {
  const [near, far] = [await Neighbour.join(), await Neighbour.join()];
  await Neighbour.join();
  await near.send();
  await far.send();
  const both = listMembers([near.identity.peerId, far.identity.peerId]);
  expect((await far.read()).firsthand).toEqual(both);
  // Told once.
  expect((await far.read()).firsthand).toBeUndefined();
  await near.leave();
  await vi.waitFor(async () => expect((await far.read()).firsthand).toEqual(listMembers([far.identity.peerId])));
});

test('passes on what shows that a member lives, every few seconds', async () => {
  const [near, far] = [await Neighbour.join(), await Neighbour.join()];
  await near.send();
  await far.read();
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 3001);
  onTestFinished(() => void vi.restoreAllMocks());
  const version = await near.beat();
  await vi.waitFor(async () => expect((await far.read()).versions.get(near.identity.peerId)).toBe(version));
});

test('passes cards on to those who can not be connected to their members', async () => {
  await using cluster = new Cluster();
  const first = await cluster.add();
  // Neither can be dialled, so both are connected to the first alone.
  const near = await cluster.add([first], { listen: [] });
  const far = await cluster.add([first], { listen: [] });
  await untilCards(far, (cards) => cards.length === 3);
  await expect(far.open(near.peerId, methods.manifest)).rejects.toMatchObject({ code: 'peer-lost' });
});
