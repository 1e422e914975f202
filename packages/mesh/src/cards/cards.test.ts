import { encodeValue, limits, maxCardLinks, methods, silentLogger, type Card, type HeldStage } from '@skein/protocol';
import { beforeAll, expect, test } from 'vitest';

import { createIdentity, type Identity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import { Membership } from '../membership/membership.ts';
import { Cluster, untilCards } from '../testing/cluster.ts';
import { CardBook } from './card-book.ts';
import { CardsView } from './cards.ts';
import { OwnCard } from './own-card.ts';
import { signCard, verifyCard, type SignedCard } from './signed-card.ts';

function cardOf(identity: Identity, change: Partial<Card> = {}): Card {
  return {
    peer: identity.peerId,
    version: 1,
    roles: ['peer'],
    name: 'somebody',
    software: 'test',
    addresses: [],
    models: [],
    stages: [],
    ...change,
  };
}

let authority: Authority;
beforeAll(async () => {
  authority = await Authority.ephemeral();
});

interface Enrolled extends Identity {
  readonly membership: Membership;
}

async function enroll(): Promise<Enrolled> {
  const { identity, membership } = await authority.enroll(['peer']);
  return { ...identity, membership };
}

/** Signs a card as somebody, with a certificate that may be somebody else's. */
async function sign(
  card: Card,
  { privateKey }: Identity,
  { membership }: { membership: Membership },
): Promise<SignedCard> {
  return await signCard(card, { privateKey, certificate: membership.credentials.certificate });
}

const frameOf = ({ bytes, signature, certificate }: SignedCard): { header: unknown; payload: Uint8Array } => ({
  header: { type: 'card', signature, certificate },
  payload: bytes,
});

test("takes a member's labels from its certificate, whatever the card says", async () => {
  const identity = await createIdentity();
  const secret = await authority.invite({ labels: { room: 'attic' } });
  const credentials = await authority.redeem(secret, { peer: identity.peerId, name: 'attic' });
  if (credentials === undefined) throw new Error('not let in');
  const own = { ...identity, membership: await Membership.open(authority.mesh, credentials) };
  const claimed = await sign(cardOf(identity, { labels: { room: 'vault' } }), identity, own);
  expect((await verifyCard(frameOf(claimed), own.membership)).card.labels).toEqual({ room: 'attic' });
  expect(new OwnCard(own, cardOf(identity)).current.labels).toEqual({ room: 'attic' });
  const plain = await enroll();
  const claiming = await sign(cardOf(plain, { labels: { room: 'vault' } }), plain, plain);
  expect((await verifyCard(frameOf(claiming), own.membership)).card.labels).toBeUndefined();
});

test('tells cards of its own from those that somebody else has signed with its key', async () => {
  let nowMs = 1000;
  const identity = await enroll();
  const own = new OwnCard(identity, cardOf(identity), () => nowMs);
  for (nowMs = 2000; nowMs <= 20_000; nowMs += 2000) {
    const { card } = await own.sign();
    expect(own.isForeign(card.version)).toBe(false);
    expect(own.isForeign(card.version - 3)).toBe(true);
  }
  // From before a restart.
  expect(own.isForeign(500)).toBe(false);
});

test('accepts a card that the member it speaks of has signed', async () => {
  const identity = await enroll();
  const signed = await sign(cardOf(identity), identity, identity);
  const { joinedAt } = identity.membership.certificate;
  expect((await verifyCard(frameOf(signed), identity.membership)).card).toEqual({ ...signed.card, joinedAt });
});

test('refuses a card that somebody else has signed, that was changed, or that is too large', async () => {
  const [owner, forger] = [await enroll(), await enroll()];
  const { membership } = owner;
  const forged = await sign(cardOf(owner), forger, owner);
  await expect(verifyCard(frameOf(forged), membership)).rejects.toMatchObject({ code: 'protocol-violation' });

  const signed = await sign(cardOf(owner), owner, owner);
  const changed = encodeValue(cardOf(owner, { name: 'Somebody' }));
  await expect(verifyCard(frameOf({ ...signed, bytes: changed }), membership)).rejects.toMatchObject({
    code: 'protocol-violation',
  });
  const large = { ...signed, bytes: new Uint8Array(65 * 1024) };
  await expect(verifyCard(frameOf(large), membership)).rejects.toMatchObject({ code: 'frame-too-large' });
});

test('refuses a card of somebody who is no member, or not what it says', async () => {
  const [member, outsider] = [await enroll(), await createIdentity()];
  const { membership } = await enroll();
  const foreign = await sign(cardOf(outsider), outsider, member);
  await expect(verifyCard(frameOf(foreign), membership)).rejects.toMatchObject({ code: 'not-a-member' });
  const climber = await sign(cardOf(member, { roles: ['coordinator'] }), member, member);
  await expect(verifyCard(frameOf(climber), membership)).rejects.toMatchObject({ code: 'not-permitted' });
});

test('keeps the newest card of each member and ignores old ones, also of members that are gone', async () => {
  const identity = await enroll();
  const version = async (number: number, name = 'somebody'): Promise<SignedCard> =>
    await sign(cardOf(identity, { version: number, name }), identity, identity);
  const book = new CardBook({ silenceMs: 6000 });
  expect(book.receive(await version(5), 0)).toBe('new');
  expect(book.receive(await version(5), 0)).toBe('stale');
  expect(book.receive(await version(4), 0)).toBe('stale');
  expect(book.receive(await version(6), 1000)).toBe('renewed');
  expect(book.receive(await version(7, 'renamed'), 2000)).toBe('changed');

  expect(book.expire(8000, () => false)).toEqual([]);
  expect(book.expire(60_000, () => true)).toEqual([]);
  expect(book.expire(66_001, () => false)).toEqual([identity.peerId]);
  expect(book.present).toEqual([]);
  expect(book.receive(await version(7), 67_000)).toBe('stale');
  expect(book.receive(await version(8), 67_000)).toBe('new');
});

test('takes the card that it has from a member that comes back, and from nobody else', async () => {
  const identity = await enroll();
  const signed = await sign(cardOf(identity, { version: 5 }), identity, identity);
  const older = await sign(cardOf(identity, { version: 4 }), identity, identity);
  const book = new CardBook();
  book.receive(signed, 0);
  expect([book.drop(identity.peerId), book.drop(identity.peerId)]).toEqual([true, false]);
  expect(book.present).toEqual([]);
  expect(book.receive(signed, 1)).toBe('stale');
  expect(book.receive(older, 1, { isFirsthand: true })).toBe('stale');
  expect(book.receive(signed, 1, { isFirsthand: true })).toBe('new');
  expect(book.receive(signed, 2, { isFirsthand: true })).toBe('stale');
  expect(book.present).toEqual([signed]);
});

test('knows who was lost lately, until they are back or no members any more', async () => {
  const [ada, bob, cyd] = await Promise.all([enroll(), enroll(), enroll()]);
  const signed = async (member: Enrolled): Promise<SignedCard> =>
    await signCard(cardOf(member), { ...member, certificate: member.membership.credentials.certificate });
  const book = new CardBook({ silenceMs: 6000 });
  for (const member of [ada, bob, cyd]) book.receive(await signed(member), 0);
  const lostSince = (sinceMs: number) => book.lostSince(sinceMs).map(({ card }) => card.peer);
  expect(lostSince(-1)).toEqual([]);
  book.lose(ada.peerId, 1000);
  book.lose(bob.peerId, 2000);
  expect(book.expire(7000, () => false)).toEqual([cyd.peerId]);
  expect(lostSince(0)).toEqual([ada.peerId, bob.peerId, cyd.peerId]);
  expect(lostSince(1000)).toEqual([bob.peerId, cyd.peerId]);
  expect(book.drop(bob.peerId)).toBe(false);
  book.receive(await signed(cyd), 8000, { isFirsthand: true });
  expect(lostSince(0)).toEqual([ada.peerId]);
});

test('takes a member that is back for lost until it says again what it serves', async () => {
  const ada = await enroll();
  let version = 0;
  const signed = async (card: Partial<Card>): Promise<SignedCard> =>
    await signCard(
      { ...cardOf(ada), version: (version += 1), ...card },
      { ...ada, certificate: ada.membership.credentials.certificate },
    );
  const memory = { memoryBytes: 8, freeMemoryBytes: 4 };
  const hardware = { platform: 'linux', cpu: 'test', cores: 4, ...memory, backend: 'cpu', gpus: [] };
  const serving = await signed({ hardware });
  const book = new CardBook();
  book.receive(serving, 0);
  book.lose(ada.peerId, 1000);
  book.receive(await signed({}), 2000, { isFirsthand: true });
  expect(book.lostSince(0)).toEqual([serving]);
  book.lose(ada.peerId, 3000);
  book.receive(await signed({}), 4000, { isFirsthand: true });
  expect(book.lostSince(2000)).toEqual([serving]);
  book.receive(await signed({ hardware }), 5000);
  expect(book.lostSince(0)).toEqual([]);
});

test('never grows beyond its bound', async () => {
  const book = new CardBook({ maxCards: 2 });
  const receive = async (): Promise<string> => {
    const identity = await enroll();
    return book.receive(await sign(cardOf(identity), identity, identity), 0);
  };
  expect([await receive(), await receive(), await receive()]).toEqual(['new', 'new', 'full']);
  book.expire(10_000, () => false);
  expect(await receive()).toBe('new');
});

test('gives every card of its own a newer version, even when the clock goes back', async () => {
  const identity = await enroll();
  let nowMs = 1000;
  const own = new OwnCard(identity, cardOf(identity), () => nowMs);
  const first = await own.sign();
  nowMs = 10;
  const second = await own.sign();
  expect(second.card.version).toBeGreaterThan(first.card.version);
  expect(own.skipPast(5000)).toBe(true);
  expect((await own.sign()).card.version).toBeGreaterThan(5000);
  expect(() => own.update({ roles: [] })).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
});

test('refuses a change after which the own card would be too large for others, and keeps what it said', async () => {
  const identity = await enroll();
  const own = new OwnCard(identity, cardOf(identity));
  const models = Array.from({ length: 60 }, (_, index) => ({
    model: String(index).padStart(64, '0'),
    manifest: 'b'.repeat(64),
    // Within the schema, which counts characters; three bytes each.
    name: '模'.repeat(limits.maxNameLength),
    bytes: 1,
  }));
  expect(() => own.update({ models })).toThrow(
    expect.objectContaining({ code: 'frame-too-large', message: expect.stringMatching(/fewer models/) as string }),
  );
  expect(own.current.models).toEqual([]);
  own.update({ models: models.slice(0, 30) });
  expect((await own.sign()).card.models).toHaveLength(30);
});

test('has room for as many links as it may tell of, beside many stages and models', async () => {
  const identity = await enroll();
  const own = new OwnCard(identity, cardOf(identity));
  const link = { peer: identity.peerId, roundTripMs: 0.25, bytesPerSecond: 1.5e9, measuredAt: Date.now() };
  const links = Array.from({ length: maxCardLinks }, () => link);
  const stage: HeldStage = {
    deployment: 'd'.repeat(36),
    model: 'a'.repeat(64),
    name: 'n'.repeat(64),
    stage: 0,
    stages: 1,
    block: { from: 0, to: 100 },
    state: 'ready',
    contextTokens: 8192,
    sequences: 64,
    bytes: 2 ** 40,
    active: 0,
    queued: 0,
    speed: { decodeMsPerLayer: 1.5, prefillMsPerTokenPerLayer: 0.5, headMs: 0.1 },
  };
  const model = { model: 'a'.repeat(64), manifest: 'b'.repeat(64), name: 'n'.repeat(64), bytes: 2 ** 40 };
  own.update({
    links,
    stages: Array.from({ length: 32 }, () => stage),
    models: Array.from({ length: 128 }, () => model),
  });
  expect((await own.sign()).card.links).toHaveLength(maxCardLinks);
  expect(() => own.update({ links: [...links, link] })).toThrow(
    expect.objectContaining({ code: 'protocol-violation' }),
  );
});

test.each([
  ['a negative round trip', { roundTripMs: -1 }],
  ['an endless round trip', { roundTripMs: Infinity }],
  ['a bandwidth that is no number', { bytesPerSecond: NaN }],
])('holds no link with %s', async (_, change) => {
  const identity = await enroll();
  const own = new OwnCard(identity, cardOf(identity));
  const link = { peer: identity.peerId, roundTripMs: 1, bytesPerSecond: 1, measuredAt: 1, ...change };
  expect(() => own.update({ links: [link] })).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
});

test('tells the caller of updateCard what the card can not hold', async () => {
  await using cluster = new Cluster();
  const member = await cluster.add();
  const model = { model: 'a'.repeat(64), manifest: 'b'.repeat(64), name: '模'.repeat(limits.maxNameLength), bytes: 1 };
  const models = Array.from({ length: 60 }, () => model);
  expect(() => member.updateCard({ models })).toThrow(expect.objectContaining({ code: 'frame-too-large' }));
  member.updateCard({ name: 'still heard' });
  expect(member.cards.snapshot()[0]?.name).toBe('still heard');
});

test('shows a watcher the newest cards when it looks, and ends with its signal', async () => {
  let cards: readonly Card[] = [];
  const view = new CardsView(() => cards, silentLogger);
  const identity = await createIdentity();
  const seen: number[] = [];
  const controller = new AbortController();
  for await (const snapshot of view.watch({ signal: controller.signal })) {
    seen.push(snapshot.length);
    if (snapshot.length === 3) controller.abort();
    for (let count = 0; count < 3; count++) {
      cards = [...cards, cardOf(identity)];
      view.notify();
    }
  }
  expect(seen).toEqual([0, 3]);
});

test('keeps its card streams when a listener throws', async () => {
  await using cluster = new Cluster();
  const complaints: string[] = [];
  const logger = { ...silentLogger, error: (_: object, message: string) => void complaints.push(message) };
  const first = await cluster.add([], { logger });
  const second = await cluster.add([first]);
  await untilCards(first, (cards) => cards.length === 2);
  first.cards.onChange(() => {
    throw new Error('broken listener');
  });
  let told = 0;
  first.cards.onChange(() => (told += 1));
  second.updateCard({ name: 'renamed' });
  await untilCards(first, (cards) => cards.some(({ name }) => name === 'renamed'));
  // On the same stream: a lost one would be opened again after a second only, with a new card.
  second.updateCard({ name: 'and again' });
  await untilCards(first, (cards) => cards.some(({ name }) => name === 'and again'));
  expect(told).toBeGreaterThanOrEqual(2);
  expect(new Set(complaints)).toEqual(new Set(['an observer of the cards failed']));
});

test('does not let a member speak for another, or bring back an old card of one', async () => {
  await using cluster = new Cluster();
  const first = await cluster.add();
  const second = await cluster.add([first], { name: 'second' });
  await untilCards(first, (cards) => cards.length === 2);
  const newest = second.cards.snapshot()[0];
  const clusterAuthority = await cluster.authority();
  const { identity, membership } = await clusterAuthority.enroll(['peer']);
  const attackerIdentity = { ...identity, membership };
  const attacker = await cluster.add([first], { identity, membership });
  const stream = await attacker.open(first.peerId, methods.card);

  const forged = { ...newest, name: 'forged', version: Date.now() + 1_000_000 } as Card;
  const { bytes, signature, certificate } = await sign(forged, attackerIdentity, attackerIdentity);
  await stream.write({ type: 'card', signature, certificate }, bytes);
  // A replay: the attacker's own earlier card, validly signed, after a newer one.
  const card = cardOf(attackerIdentity, { name: 'new', version: Date.now() + 10_000_000 });
  for (const replayed of [card, { ...card, name: 'old', version: 1 }]) {
    const signed = await sign(replayed, attackerIdentity, attackerIdentity);
    await stream.write({ type: 'card', signature: signed.signature, certificate }, signed.bytes);
  }
  // Its own member hears of the card, and goes on from there.
  const last = cardOf(attackerIdentity, { name: 'last', version: card.version + 1_000_000 });
  const signed = await sign(last, attackerIdentity, attackerIdentity);
  await stream.write({ type: 'card', signature: signed.signature, certificate }, signed.bytes);

  const names = new Set<string>();
  await untilCards(first, (cards) => {
    for (const { name } of cards) names.add(name);
    return names.has('last');
  });
  expect(names).not.toContain('forged');
  expect(names).not.toContain('old');
  expect(names).toContain('second');
});
