import type { Card, HeldStage } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, leadOf } from '../testing/cards.ts';
import { Candidates, type Candidate } from './candidates.ts';
import { chooseReplica, type RoutedRequest } from './choose-replica.ts';
import { replicasOf } from './replica.ts';

const speed = { decodeMsPerLayer: 1, prefillMsPerTokenPerLayer: 0.25, headMs: 1 };

/** A replica in one stage of four layers that reads a token a millisecond, with these counts on its card. */
function replica(
  name: string,
  { unconfirmed = { requests: 0, tokens: 0 }, card = {}, ...stage }: Partial<HeldStage> & Given = {},
): Candidate {
  const lead = leadOf({ deployment: name, speed, ...stage });
  const [found] = replicasOf([{ card: cardOf(name, card), stage: lead }], cardOf('own'));
  if (found === undefined) throw new Error('the lead is not ready');
  return { replica: found, unconfirmed };
}

interface Given {
  unconfirmed?: Candidate['unconfirmed'];
  card?: Partial<Card>;
}

/** Numbers from 0 up to 1, the same each time. */
function seeded(seed = 1): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** Returns the tokens that are cached, by the keys of replicas. */
function cachedBy(cached: ReadonlyMap<string, number> = new Map()): (candidate: Candidate) => number {
  return ({ replica: { key } }) => cached.get(key) ?? 0;
}

const alone = { random: seeded(), cachedAt: () => 0 };

/** Returns how often each replica is chosen in 1,000 decisions. */
function shares(
  candidates: readonly Candidate[],
  { cached, ...request }: Partial<RoutedRequest> & { cached?: ReadonlyMap<string, number> } = {},
): Record<string, number> {
  const random = seeded();
  const counts: Record<string, number> = {};
  for (let nth = 0; nth < 1000; nth += 1) {
    const name =
      chooseReplica(Candidates.of(candidates), { tokens: 1000, ...request }, { random, cachedAt: cachedBy(cached) })
        ?.candidate.replica.lead ?? 'none';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('takes the replica that has least to read first', () => {
  expect(shares([replica('a', { waitingTokens: 600 }), replica('b', { waitingTokens: 200 })])).toEqual({ b: 1000 });
  const fast = { ...speed, prefillMsPerTokenPerLayer: 0.1 };
  expect(shares([replica('a'), replica('b', { waitingTokens: 600, speed: fast })])).toEqual({ b: 1000 });
});

test('waits for a free sequence where none is, as long as sequences take', () => {
  const full = { active: 4, sequences: 4, waitingTokens: 0 };
  const quick = replica('a', { ...full, sequenceMs: 400 });
  const slow = replica('b', { ...full, sequenceMs: 40_000 });
  expect(shares([quick, slow])).toEqual({ a: 1000 });
  expect(shares([quick, replica('c', { waitingTokens: 1000 })])).toEqual({ a: 1000 });
  expect(shares([slow, replica('c', { waitingTokens: 300 })])).toEqual({ c: 1000 });
});

test('counts the slowest stage for a long prompt, the others for its last chunk', () => {
  const of = (...blocks: readonly (readonly [number, number])[]): Candidate => {
    const held = blocks.map(([from, to], stage) => ({
      card: cardOf(`peer-${stage}`),
      stage: leadOf({ stage, stages: blocks.length, block: { from, to }, speed }),
    }));
    const [found] = replicasOf(held, undefined);
    if (found === undefined) throw new Error('the lead is not ready');
    return { replica: found, unconfirmed: { requests: 0, tokens: 0 } };
  };
  const whole = of([0, 8]);
  const halves = of([0, 4], [4, 8]);
  const cost = (candidate: Candidate) => chooseReplica(Candidates.of([candidate]), { tokens: 1000 }, alone)?.why;
  expect(cost(whole)).toMatchObject({ rule: 'least-ttft', cost: 2000 });
  expect(cost(halves)).toMatchObject({ rule: 'least-ttft', cost: 1000 + 64 });
});

test('goes where the prompt is cached, as long as that saves more than the queue there costs', () => {
  const cached = new Map([['a/a', 800]]);
  expect(shares([replica('a', { waitingTokens: 500 }), replica('b')], { cached })).toEqual({ a: 1000 });
  expect(shares([replica('a', { waitingTokens: 900 }), replica('b')], { cached })).toEqual({ b: 1000 });
});

test('one hot replica turns nobody else from what they hold', () => {
  const hot = replica('hot', { active: 4, queued: 200, waitingTokens: 200_000, sequenceMs: 5000 });
  const cached = new Map([['b/b', 900]]);
  expect(shares([hot, replica('a'), replica('b', { active: 1, waitingTokens: 100 })], { cached })).toEqual({ b: 1000 });
});

test('adds its own requests to those on the card, with their tokens', () => {
  const unconfirmed = { requests: 2, tokens: 700 };
  const polled = replica('a', { waitingTokens: 600 });
  const own = replica('b', { unconfirmed });
  const both = replica('c', { waitingTokens: 600, unconfirmed });
  expect(shares([polled, own, both])).toEqual({ a: 1000 });
  expect(shares([own, both])).toEqual({ b: 1000 });
});

test('draws among those that are alike, so that nothing is chosen by its place or name', () => {
  const candidates = ['a', 'b', 'c', 'd'].map((name) => replica(name));
  for (const order of [candidates, candidates.toReversed()]) {
    for (const count of Object.values(shares(order))) expect(count).toBeGreaterThan(200);
  }
  const near = shares([replica('a', { waitingTokens: 30 }), replica('b'), replica('c', { waitingTokens: 400 })]);
  expect(Object.keys(near).toSorted()).toEqual(['a', 'b']);
});

test('spreads the requests of routers that decide at once', () => {
  const candidates = ['a', 'b', 'c', 'd'].map((name) => replica(name));
  const chosen = Array.from(
    { length: 16 },
    (_, nth) =>
      chooseReplica(Candidates.of(candidates), { tokens: 1000 }, { ...alone, random: seeded(7919 * (nth + 1)) })
        ?.candidate.replica.lead,
  );
  for (const { replica: one } of candidates) {
    expect(chosen.filter((lead) => lead === one.lead).length).toBeLessThanOrEqual(8);
  }
});

test('a busy replica with prompts of its own gets no more than an idle one', () => {
  // The smallest index of prefixes says nothing about load: SGLang #14305.
  const busy = replica('busy', { active: 4, queued: 30, waitingTokens: 30_000, sequenceMs: 3000 });
  expect(shares([busy, replica('idle')])).toEqual({ idle: 1000 });
});

test('decides by tokens to read times load where a speed is unknown', () => {
  const candidates = [
    replica('a', { speed: undefined, active: 1 }),
    replica('b', { active: 3 }),
    replica('c', { active: 2 }),
  ];
  const choose = (cached: ReadonlyMap<string, number>) =>
    chooseReplica(Candidates.of(candidates), { tokens: 1000 }, { ...alone, cachedAt: cachedBy(cached) })?.why;
  expect(choose(new Map())).toMatchObject({ rule: 'least-work', cost: 2000, alike: 1 });
  expect(choose(new Map([['b/b', 600]]))).toMatchObject({ rule: 'least-work', cost: 1600, cachedTokens: 600 });
});

test('takes a preferred lead as long as it has a free sequence, unless it is excluded or is there no longer', () => {
  const candidates = [replica('a', { active: 3, waitingTokens: 9000 }), replica('b')];
  const prefer = { deployment: 'a', lead: 'a' };
  expect(shares(candidates, { prefer })).toEqual({ a: 1000 });
  expect(shares(candidates, { prefer, exclude: [prefer] })).toEqual({ b: 1000 });
  expect(shares(candidates, { prefer: { deployment: 'gone', lead: 'a' } })).toEqual({ b: 1000 });
});

test('takes a preferred lead that is full where that costs least, as any other', () => {
  const prefer = { deployment: 'a', lead: 'a' };
  const full = { active: 3, unconfirmed: { requests: 1, tokens: 0 }, sequenceMs: 10_000 };
  const cached = new Map([['a/a', 1000]]);
  expect(shares([replica('a', full), replica('b')], { prefer, cached })).toEqual({ b: 1000 });
  const busier = replica('b', { active: 4, queued: 9, sequenceMs: 10_000 });
  expect(shares([replica('a', full), busier], { prefer, cached })).toEqual({ a: 1000 });
});

test('sums over candidates are those of the ones that are there, whatever came, changed and went', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => replica(name)) as [Candidate, Candidate, Candidate];
  const candidates = Candidates.of([a, b]);
  expect(candidates.sums).toEqual({ count: 2, unknown: 0, busy: 0, msPerToken: 2 });
  candidates.add(c);
  candidates.remove(a);
  const { replica: changed } = replica('b', { waitingTokens: 100, speed: undefined });
  Object.assign(b, { replica: changed });
  candidates.refresh(b);
  expect(candidates.sums).toEqual({ count: 2, unknown: 1, busy: 1, msPerToken: 1 });
  candidates.remove(c);
  candidates.remove(b);
  candidates.remove(b);
  expect(candidates.sums).toEqual({ count: 0, unknown: 0, busy: 0, msPerToken: 0 });
});

test('chooses none where all are excluded', () => {
  const exclude = [{ deployment: 'a', lead: 'a' }];
  expect(chooseReplica(Candidates.of([replica('a')]), { tokens: 1, exclude }, alone)).toBeUndefined();
  expect(chooseReplica(Candidates.of([]), { tokens: 1 }, alone)).toBeUndefined();
});

test('takes only replicas whose machines all have the labels that are asked for', () => {
  const inZone = (zone: string) => ({ card: { labels: { zone, class: 'confidential' } } });
  const candidates = [replica('a', inZone('eu')), replica('b', inZone('us')), replica('c')];
  expect(shares(candidates, { labels: { zone: 'eu' } })).toEqual({ a: 1000 });
  expect(shares(candidates, { labels: { zone: 'eu', class: 'confidential' } })).toEqual({ a: 1000 });
  expect(shares(candidates, { labels: { zone: 'eu', class: 'public' } })).toEqual({ none: 1000 });
  expect(shares(candidates, { labels: { zone: 'eu' }, exclude: [{ deployment: 'a', lead: 'a' }] })).toEqual({
    none: 1000,
  });
  // A preference is no exception.
  expect(shares(candidates, { labels: { zone: 'eu' }, prefer: { deployment: 'b', lead: 'b' } })).toEqual({ a: 1000 });
});

test('a split replica has a label when all its machines are known and have it', () => {
  const of = (...zones: readonly string[]): Candidate => {
    const held = zones.map((zone, stage) => ({
      card: cardOf(`peer-${stage}`, { labels: { zone } }),
      stage: leadOf({ stage, stages: 2, speed }),
    }));
    const [found] = replicasOf(held, undefined) as [Candidate['replica']];
    return { replica: found, unconfirmed: { requests: 0, tokens: 0 } };
  };
  const eu = { labels: { zone: 'eu' } };
  expect(shares([of('eu', 'eu')], eu)).toEqual({ 'peer-0': 1000 });
  expect(shares([of('eu', 'us')], eu)).toEqual({ none: 1000 });
  expect(shares([of('eu')], eu)).toEqual({ none: 1000 });
});
